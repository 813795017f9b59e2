//! Written by hand: one schema for both databases (`migrations/`).

diesel::table! {
    terminal_users (im_uid) {
        im_uid -> Text,
        tuser_key -> Text,
        registered_at -> BigInt,
    }
}

diesel::table! {
    introductions (app_id, im_uid) {
        app_id -> Text,
        im_uid -> Text,
        br_intro -> Text,
    }
}

diesel::table! {
    mappings (im_uid) {
        im_uid -> Text,
        user_id -> Text,
        bound_at -> BigInt,
    }
}

diesel::table! {
    used_codes (code_hash) {
        code_hash -> Text,
        im_uid -> Text,
        used_at -> BigInt,
    }
}

diesel::table! {
    validities (app_id, im_uid, ln_md5) {
        app_id -> Text,
        im_uid -> Text,
        ln_md5 -> Text,
        price -> Nullable<BigInt>,
        start_time -> Text,
        end_time -> Text,
    }
}

diesel::table! {
    records (app_id, im_uid, kind, record_id) {
        app_id -> Text,
        im_uid -> Text,
        kind -> Text,
        record_id -> Text,
        subject -> Text,
        amount -> Nullable<BigInt>,
        occurred_at -> Text,
    }
}

diesel::table! {
    replacements (id) {
        id -> BigInt,
        app_id -> Text,
        old_uid -> Text,
        new_uid -> Text,
        replaced_at -> BigInt,
    }
}

diesel::table! {
    newest_keys (app_id, first_uid) {
        app_id -> Text,
        first_uid -> Text,
        newest_uid -> Text,
        last_id -> BigInt,
    }
}

diesel::table! {
    replaced_rows (id) {
        id -> BigInt,
        replacement_id -> BigInt,
        app_id -> Text,
        old_uid -> Text,
        new_uid -> Text,
        deleted_at -> BigInt,
        im_uid -> Text,
        kind -> Text,
        record_id -> Text,
        subject -> Text,
        amount -> Nullable<BigInt>,
        start_time -> Text,
        end_time -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    terminal_users,
    introductions,
    mappings,
    validities,
    records,
    replaced_rows
);
