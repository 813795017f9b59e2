//! Written by hand: one schema for both databases (`migrations/`).

diesel::table! {
    constants (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    owners (owner) {
        owner -> Text,
        friends_clock -> BigInt,
        requests_clock -> BigInt,
        friends -> BigInt,
        pending -> BigInt,
        verify -> Nullable<Bool>,
    }
}

diesel::table! {
    friends (owner, friend) {
        owner -> Text,
        friend -> Text,
        stamp -> BigInt,
        active -> Bool,
        remark -> Text,
        source -> Text,
    }
}

diesel::table! {
    requests (owner, other, invited) {
        owner -> Text,
        other -> Text,
        invited -> Bool,
        stamp -> BigInt,
        message -> Text,
        source -> Text,
        done -> Bool,
    }
}
