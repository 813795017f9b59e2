//! What writes cost beside the same statements sent by pgbench, in the same order and transactions, each a round
//! trip; both durable (`fsync` on, `synchronous_commit` on).

use super::{Aim, Stores};
use crate::Result;
use crate::calls::{self, Signed};
use crate::contest::{COLUMNS, Contest};
use crate::data::{Set, chance, pair_of, uid};
use crate::load::Calls;
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Service, Services};

const AIM: Aim = Aim::AtLeast(0.6);
/// Friend agreements a second that neither side reaches.
const AGREEMENTS: u64 = 16_000;

/// A new number for each transaction.
const NUMBER: &str = "\\set id :base + :client_id + :step * :n
\\set n :n + 1
";

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let set = Set { pending: plan.calls_at(plan.of(AGREEMENTS, 3_000)), ..Set::of(plan.accounts) };
    let stores = Stores::start(plan, "writes", set)?;
    stores.copy("writes", "peer")?;
    let parts = [Service::Gateway, Service::ImAuth, Service::Friends, Service::Groups];
    let services = Services::start(plan, "writes", &parts, &stores.postgres, &stores.redis)?;
    let joining = plan.of(500, 200);
    let people: Vec<String> = (1..=joining).map(uid).collect();
    let signed = Signed::with_token(services.address(Service::ImAuth)?, &people)?;

    let agreements = calls::pair("friendAgree", move |n| asked(set, n))?.at_most(set.pending);
    report.head(&COLUMNS)?;
    let jobs: [(&str, Service, Calls, String); 5] = [
        ("user_register", Service::ImAuth, calls::user_register("n", None), register()),
        ("user_token", Service::ImAuth, calls::user_token(set.accounts), token(set)),
        ("addFriend (asks)", Service::Friends, calls::pair("addFriend", move |n| strangers(set, n))?, add(set)),
        ("friendAgree", Service::Friends, agreements, agree(set)),
        ("group_join (token)", Service::Groups, signed.joins(2, set.groups() - 1), join(set, joining)),
    ];
    for (what, service, calls, script) in jobs {
        let mut behind = vec![services.tree(service)?];
        if service != Service::ImAuth {
            behind.push(services.tree(Service::ImAuth)?);
        }
        let (direct, door) = (services.address(service)?, services.address(Service::Gateway)?);
        let name = what.split(' ').next().unwrap_or(what);
        let contest = Contest {
            what: what.into(),
            sides: vec![
                stores.side("service", calls.to(direct), behind, AIM),
                stores.side("gateway", calls.to(door), services.trees(), Aim::None),
                stores.pgbench(plan, &service.database("peer"), (name, &script), calls.most())?,
            ],
        };
        stores.postgres.checkpoint()?;
        contest.hold(plan, report)?;
    }
    Ok(())
}

/// Two who have nothing of each other; the second wants to be asked.
fn strangers(set: Set, n: u64) -> (String, String) {
    let me = chance(2 * n) % set.accounts + 1;
    let other = chance(2 * n + 1) % (set.accounts / 5) * 5 + 1;
    // Those of [`pair_of`] are near each other.
    let is_near = me.abs_diff(other) < 200 || me.abs_diff(other) + 200 > set.accounts - set.popular();
    (uid(me), uid(if is_near { (other + 499) % set.accounts + 1 } else { other }))
}

/// The n-th pair that waits: who was asked, and who asked.
fn asked(set: Set, n: u64) -> (String, String) {
    let (asker, target) = pair_of(set, n);
    (uid(target), uid(asker))
}

fn register() -> String {
    format!(
        "{NUMBER}BEGIN;
INSERT INTO accounts (app_id, uid, implicit, name, icon, icon_changed_at, gender, mobile, birth, email, ex, region,
sign, is_admin, is_public_number, expert_status, point, yue, jifen, password_hash, credential_version,
known_addresses, created_at, revision) VALUES ('kith', 'n' || :id, false, 'User n' || :id,
'https://cdn.example.com/avatars/n' || :id || '.jpg', 1700000000000, 1, '', '', '', '', '', '', false, false, 0, '0',
0, 0, NULL, 0, '', 1700000000000, 0) ON CONFLICT (app_id, uid) DO UPDATE SET implicit = false, name = 'User',
gender = 1, icon_changed_at = CASE WHEN coalesce('x', accounts.icon) <> accounts.icon THEN
CASE WHEN accounts.icon_changed_at >= 1700000000000 THEN accounts.icon_changed_at + 1 ELSE 1700000000000 END
ELSE accounts.icon_changed_at END, icon = coalesce('x', accounts.icon),
credential_version = accounts.credential_version + 0, revision = accounts.revision + 1 WHERE accounts.implicit RETURNING app_id, uid, implicit, name,
icon, icon_changed_at, gender, mobile, birth, email, ex, region, sign, is_admin, is_public_number, expert_status,
point, yue, jifen, password_hash, credential_version, known_addresses, created_at, revision;
INSERT INTO tokens (id, app_id, uid, platform, issued_at, expires_at, state, text)
VALUES (md5('n' || :id), 'kith', 'n' || :id, 1, 1700000000, 1900000000, 0, NULL);
COMMIT;
"
    )
}

fn token(set: Set) -> String {
    format!(
        "{NUMBER}\\set u random(1, {})
INSERT INTO tokens (id, app_id, uid, platform, issued_at, expires_at, state)
SELECT md5('t' || :id), app_id, uid, 2, 1700000000, 1900000000, 0 FROM accounts
WHERE app_id = 'kith' AND uid = 'u' || (1000000 + :u) AND implicit = false;
",
        set.accounts
    )
}

/// What both tables have of a pair.
const OF_PAIR: &str = "SELECT owner, friend, stamp, active, remark, source, NULL::boolean FROM friends
WHERE owner = 'kith#u' || (1000000 + :a) AND friend = 'kith#u' || (1000000 + :b)
OR owner = 'kith#u' || (1000000 + :b) AND friend = 'kith#u' || (1000000 + :a)
UNION ALL SELECT owner, other, stamp, done, message, source, invited FROM requests
WHERE owner = 'kith#u' || (1000000 + :a) AND other = 'kith#u' || (1000000 + :b)
OR owner = 'kith#u' || (1000000 + :b) AND other = 'kith#u' || (1000000 + :a);
";

const LOCK: &str = "SELECT owner, friends_clock, requests_clock, friends, pending, verify FROM owners
WHERE owner = ANY (ARRAY['kith#u' || (1000000 + :a), 'kith#u' || (1000000 + :b)]) ORDER BY owner FOR UPDATE;
";

const UPDATE_OWNERS: &str = "INSERT INTO owners (owner, friends_clock, requests_clock, friends, pending, verify)
SELECT * FROM unnest(ARRAY['kith#u' || (1000000 + :a), 'kith#u' || (1000000 + :b)], ARRAY[:s::bigint, :s::bigint],
ARRAY[:s::bigint, :s::bigint], ARRAY[5::bigint, 5::bigint], ARRAY[1::bigint, 1::bigint], ARRAY[NULL, NULL]::boolean[])
ON CONFLICT (owner) DO UPDATE SET friends_clock = excluded.friends_clock, requests_clock = excluded.requests_clock,
friends = excluded.friends, pending = excluded.pending, verify = excluded.verify;
";

fn upsert_requests(done: bool) -> String {
    format!(
        "INSERT INTO requests (owner, other, invited, stamp, message, source, done)
SELECT * FROM unnest(ARRAY['kith#u' || (1000000 + :a), 'kith#u' || (1000000 + :b)],
ARRAY['kith#u' || (1000000 + :b), 'kith#u' || (1000000 + :a)], ARRAY[false, true], ARRAY[:s::bigint, :s::bigint],
ARRAY['hello', 'hello'], ARRAY['1', '1'], ARRAY[{done}, {done}])
ON CONFLICT (owner, other, invited) DO UPDATE SET stamp = excluded.stamp, message = excluded.message,
source = excluded.source, done = excluded.done;
"
    )
}

/// Beyond the data set's, and each call's own.
fn stamp(from: u64) -> String {
    format!("\\set s {from} + :id\n")
}

fn add(set: Set) -> String {
    format!(
        "{NUMBER}{}\\set a random(1, {accounts})
\\set b random(0, {fifth} - 1) * 5 + 1
\\set b case when :b = :a then :b + 1 else :b end
BEGIN;
{LOCK}{OF_PAIR}{}{UPDATE_OWNERS}COMMIT;
",
        stamp(1_800_000_000_000),
        upsert_requests(false),
        accounts = set.accounts,
        fifth = set.accounts / 5,
    )
}

/// The pairs of [`pair_of`], by pgbench's arithmetic.
fn agree(set: Set) -> String {
    let ordinary = set.accounts - set.popular();
    let first = set.popular() + 1;
    format!(
        "{NUMBER}{}\\set a :id % {ordinary} + {first}
\\set b (:id + 100 + 7 * (:id / {ordinary})) % {ordinary} + {first}
BEGIN;
{LOCK}{OF_PAIR}INSERT INTO friends (owner, friend, stamp, active, remark, source)
SELECT * FROM unnest(ARRAY['kith#u' || (1000000 + :a), 'kith#u' || (1000000 + :b)],
ARRAY['kith#u' || (1000000 + :b), 'kith#u' || (1000000 + :a)], ARRAY[:s::bigint, :s::bigint], ARRAY[true, true],
ARRAY['', ''], ARRAY['1', '1'])
ON CONFLICT (owner, friend) DO UPDATE SET stamp = excluded.stamp, active = excluded.active,
remark = excluded.remark, source = excluded.source;
{}{UPDATE_OWNERS}COMMIT;
",
        stamp(1_900_000_000_000),
        upsert_requests(true),
    )
}

/// The memberships of [`Signed::joins`] in its order, by pgbench's arithmetic.
fn join(set: Set, people: u64) -> String {
    format!(
        "{NUMBER}\\set u :id % {people} + 1000001
\\set g 2 + ((:id % {people}) * 7919 + :id / {people}) % {}
WITH taken AS (UPDATE groups SET members = members + 1, last_place = last_place + 1 WHERE id = :g AND members < 100000
AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = :g AND uid = 'u' || :u)
AND NOT EXISTS (SELECT 1 FROM memberships WHERE uid = 'u' || :u OFFSET 3999 LIMIT 1) RETURNING id, last_place),
joined AS (INSERT INTO memberships (group_id, uid, place, joined_at)
SELECT id, 'u' || :u, last_place, 1700000000000 FROM taken RETURNING group_id, place)
INSERT INTO membership_blocks AS b (group_id, block, members) SELECT group_id, place / 512, 1 FROM joined
ON CONFLICT (group_id, block) DO UPDATE SET members = b.members + 1 RETURNING b.members;
",
        set.groups() - 1
    )
}
