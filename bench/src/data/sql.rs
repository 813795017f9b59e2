//! The statements that fill the tables. `{series:N}` is a table `s` with one column `i` from 1 to N, `{series:N:t}`
//! one named `t`.

use super::{EPOCH, HUB_FRIENDS, POPULAR_FRIENDS, SAMPLE_SIZES, Set};

/// For svc-im-auth.
pub fn accounts(set: Set, password_hash: Option<&str>) -> Vec<String> {
    let hash = password_hash.map_or_else(|| "NULL".to_owned(), |hash| format!("'{hash}'"));
    let insert = |uid: &str, from: &str| {
        format!(
            "INSERT INTO accounts (app_id, uid, implicit, name, icon, icon_changed_at, gender, mobile, birth, email, ex, \
             region, sign, is_admin, is_public_number, expert_status, point, yue, jifen, password_hash, \
             credential_version, known_addresses, created_at) SELECT 'kith', {uid}, false, 'User ' || {uid}, \
             'https://cdn.example.com/avatars/' || {uid} || '.jpg', {EPOCH}, 1, '', '', '', '', '', '', \
             false, false, 0, '0', 0, 0, {hash}, 1, '', {EPOCH} FROM {from}"
        )
    };
    let mut statements = vec![insert("'u' || (1000000 + s.i)", &format!("{{series:{}}}", set.accounts))];
    for size in SAMPLE_SIZES.into_iter().filter(|_| set.samples > 0) {
        statements.push(insert(&format!("'r{size}-' || (s.i - 1)"), &format!("{{series:{}}}", set.samples)));
    }
    statements
}

/// For svc-friends.
pub fn friends(set: Set) -> Vec<String> {
    let (popular, hubs) = (set.popular(), set.hubs());
    let ordinary = set.accounts - popular;
    let reach = POPULAR_FRIENDS / 2;
    // The n-th popular and the n-th other account, from 0 on.
    let p = |n: &str| format!("'kith#u' || (1000001 + {n})");
    let q = |n: &str| format!("'kith#u' || ({} + {n})", 1_000_001 + popular);
    // Before and after oneself, not oneself, round again at the ends.
    let near = |me: &str, reach: u64, of: u64| {
        format!("({me} + {of} + t.i - {reach} - CASE WHEN t.i <= {reach} THEN 1 ELSE 0 END) % {of}")
    };
    let insert = |owner: String, friend: String, stamp: &str, from: String| {
        format!("INSERT INTO friends SELECT {owner}, {friend}, {EPOCH} + {stamp}, true, '', '' FROM {from}")
    };
    let cross = |a: u64, b: u64| format!("{{series:{a}}} CROSS JOIN {{series:{b}:t}}");
    let of_hub = format!("((s.i - 1) * {HUB_FRIENDS} + t.i - 1)");
    let mut statements = vec![
        insert(p("s.i - 1"), p(&near("s.i - 1", reach, popular)), "1000 * t.i", cross(popular, POPULAR_FRIENDS)),
        insert(q("s.i - 1"), q(&near("s.i - 1", 2, ordinary)), "1000 * t.i", cross(ordinary, 4)),
        insert(p("s.i - 1"), q(&of_hub), "100000 + t.i", cross(hubs, HUB_FRIENDS)),
        insert(q(&of_hub), p("s.i - 1"), "100000", cross(hubs, HUB_FRIENDS)),
    ];
    for size in SAMPLE_SIZES.into_iter().filter(|_| set.samples > 0) {
        let owner = format!("'kith#r{size}-' || (s.i - 1)");
        // Their friends are popular ones, who do not hold them.
        let friend = p(&format!("(s.i * 7 + t.i) % {popular}"));
        statements.push(insert(owner, friend, "1000 * t.i", cross(set.samples, size)));
    }
    statements.extend(requests(set));
    // Only who appears has a row. Clocks are beyond every stamp.
    statements.push(format!(
        "INSERT INTO owners SELECT f.owner, {EPOCH} + 1000000, 0, f.friends, 0, NULL FROM \
         (SELECT owner, count(*) AS friends FROM friends GROUP BY owner) AS f"
    ));
    statements.push(format!(
        "UPDATE owners SET verify = false WHERE owner IN \
         (SELECT 'kith#u' || (1000000 + 5 * s.i) FROM {{series:{}}})",
        set.accounts / 5
    ));
    if set.pending > 0 {
        statements.push(format!(
            "UPDATE owners SET requests_clock = {EPOCH} + 10000000, pending = \
             (SELECT count(*) FROM requests WHERE requests.owner = owners.owner) \
             WHERE owner IN (SELECT owner FROM requests)"
        ));
    }
    statements
}

/// The pairs of [`pair_of`](super::pair_of).
fn requests(set: Set) -> Vec<String> {
    if set.pending == 0 {
        return Vec::new();
    }
    let ordinary = set.accounts - set.popular();
    let q = |n: &str| format!("'kith#u' || ({} + {n})", 1_000_001 + set.popular());
    let (asker, target) = (format!("((s.i - 1) % {ordinary})"), pair_target("(s.i - 1)", ordinary));
    let insert = |owner: &str, other: &str, invited: bool, odd: u8| {
        format!(
            "INSERT INTO requests SELECT {}, {}, {invited}, {EPOCH} + 2 * s.i + {odd}, 'hello', '', false \
             FROM {{series:{}}}",
            q(owner),
            q(other),
            set.pending
        )
    };
    vec![insert(&asker, &target, false, 0), insert(&target, &asker, true, 1)]
}

/// Who is asked in pair `k` (an SQL expression, from 0 on).
fn pair_target(k: &str, ordinary: u64) -> String {
    format!("(({k} + 100 + 7 * ({k} / {ordinary})) % {ordinary})")
}

/// For svc-groups.
pub fn groups(set: Set) -> Vec<String> {
    let (accounts, groups, samples) = (set.accounts, set.groups(), set.samples);
    let size = |g: &str| format!("(CASE WHEN {accounts} / 10 / {g} < 5 THEN 5 ELSE {accounts} / 10 / {g} END)");
    // 7919 is prime and divides no power of ten: no member twice.
    let member = |g: &str, k: &str| format!("'u' || (1000001 + ({k} * 7919 + {g} * 104729) % {accounts})");
    let mut statements = vec![
        format!(
            "INSERT INTO groups (id, name, owner, members, last_place, created_at) \
             SELECT s.i, 'Group ' || s.i, {}, {of_s}, {of_s}, {EPOCH} FROM {{series:{groups}}}",
            member("s.i", "1"),
            of_s = size("s.i"),
        ),
        // Group by group and member by member: a join with so many numbers that all are enough would be far larger.
        format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) \
             WITH RECURSIVE m (g, k) AS (SELECT 1, 1 UNION ALL \
             SELECT CASE WHEN k < {of_m} THEN g ELSE g + 1 END, CASE WHEN k < {of_m} THEN k + 1 ELSE 1 END \
             FROM m WHERE g < {groups} OR k < {of_m}) SELECT g, {}, k, {EPOCH} FROM m",
            member("g", "k"),
            of_m = size("g"),
        ),
    ];
    for (n, size) in SAMPLE_SIZES.into_iter().enumerate().filter(|_| samples > 0) {
        let first = set.sample_groups(n);
        let id = format!("({first} + s.i - 1)");
        statements.push(format!(
            "INSERT INTO groups (id, name, owner, members, last_place, created_at) \
             SELECT {id}, 'Group ' || {id}, {}, {size}, {size}, {EPOCH} FROM {{series:{samples}}}",
            member(&id, "1")
        ));
        statements.push(format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT {id}, {}, t.i, {EPOCH} \
             FROM {{series:{samples}}} CROSS JOIN {{series:{size}:t}}",
            member(&id, "t.i")
        ));
    }
    statements.push(
        "INSERT INTO membership_blocks SELECT group_id, place / 512, count(*) FROM memberships GROUP BY 1, 2"
            .to_owned(),
    );
    statements
}
