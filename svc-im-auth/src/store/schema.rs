//! Written by hand: one schema for both databases (`migrations/`).

diesel::table! {
    accounts (app_id, uid) {
        app_id -> Text,
        uid -> Text,
        implicit -> Bool,
        name -> Text,
        icon -> Text,
        icon_changed_at -> BigInt,
        gender -> Integer,
        mobile -> Text,
        birth -> Text,
        email -> Text,
        ex -> Text,
        region -> Text,
        sign -> Text,
        is_admin -> Bool,
        is_public_number -> Bool,
        expert_status -> BigInt,
        point -> Text,
        yue -> BigInt,
        jifen -> BigInt,
        password_hash -> Nullable<Text>,
        credential_version -> BigInt,
        known_addresses -> Text,
        created_at -> BigInt,
        revision -> BigInt,
    }
}

diesel::table! {
    tokens (id) {
        id -> Text,
        app_id -> Text,
        uid -> Text,
        platform -> Integer,
        issued_at -> BigInt,
        expires_at -> BigInt,
        state -> Integer,
        text -> Nullable<Text>,
    }
}

diesel::table! {
    provider_users (app_id, uid) {
        app_id -> Text,
        uid -> Text,
    }
}

diesel::table! {
    operations (operation_id) {
        operation_id -> Text,
        done_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(accounts, tokens);
