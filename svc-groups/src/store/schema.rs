//! Written by hand: one schema for both databases (`migrations/`).

diesel::table! {
    groups (id) {
        id -> BigInt,
        name -> Text,
        owner -> Text,
        members -> BigInt,
        last_place -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    memberships (group_id, uid) {
        id -> BigInt,
        group_id -> BigInt,
        uid -> Text,
        place -> BigInt,
        joined_at -> BigInt,
    }
}

diesel::table! {
    membership_blocks (group_id, block) {
        group_id -> BigInt,
        block -> BigInt,
        members -> BigInt,
    }
}

diesel::table! {
    dismissed_groups (id) {
        id -> BigInt,
    }
}

diesel::table! {
    rekeyings (operation_id) {
        operation_id -> Text,
        done_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(groups, memberships, membership_blocks);
