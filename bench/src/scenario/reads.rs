//! What reads of the friends' service cost beside the SQL that they stand for.

use super::{Aim, Stores};
use crate::contest::{COLUMNS, Contest};
use crate::data::{Set, uid};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Service, Services};
use crate::{Result, calls};

/// As many as the aims' ground was measured with.
const CONNECTIONS: usize = 64;

/// Friends and their names and avatars in one statement, as one would write it were all in one database.
const PAGE: &str = "\\set p random(1, :popular)
SELECT f.friend, f.stamp, f.active, f.remark, f.source, p.name, p.icon FROM friends AS f
LEFT JOIN profiles AS p ON p.account = f.friend
WHERE f.owner = 'kith#u' || (1000000 + :p) AND f.active AND f.stamp > 0 ORDER BY f.stamp LIMIT 50;
";

const BY_KEY: &str = "\\set p random(1, :accounts)
SELECT owner, friends_clock, requests_clock, friends, pending, verify FROM owners
WHERE owner = 'kith#u' || (1000000 + :p);
";

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let set = Set::of(plan.accounts);
    let stores = Stores::start(plan, "reads", set)?;
    stores.copy("reads", "peer")?;
    let peer = Service::Friends.database("peer");
    stores.postgres.execute(
        &peer,
        &format!(
            "CREATE TABLE profiles (account TEXT COLLATE \"C\" PRIMARY KEY, name TEXT NOT NULL, icon TEXT NOT NULL);
             INSERT INTO profiles SELECT 'kith#u' || (1000000 + i), 'User u' || (1000000 + i),
             'https://cdn.example.com/avatars/u' || (1000000 + i) || '.jpg' FROM generate_series(1, {}) AS s(i);
             ANALYZE profiles",
            set.accounts
        ),
    )?;
    let parts = [Service::Gateway, Service::ImAuth, Service::Friends];
    let services = Services::start(plan, "reads", &parts, &stores.postgres, &stores.redis)?;
    let (direct, door) = (services.address(Service::Friends)?, services.address(Service::Gateway)?);
    let behind = vec![services.tree(Service::Friends)?, services.tree(Service::ImAuth)?];
    let script = |text: &str| {
        text.replace(":popular", &set.popular().to_string()).replace(":accounts", &set.accounts.to_string())
    };

    let page = calls::friends_page(set.popular())?.to(door);
    let body = page.once()?;
    let (entries, names) = (body.matches("\"useracc\"").count(), body.matches("\"nickName\":\"User u").count());
    if (entries, names) != (50, 50) {
        return Err(format!("a page has {entries} friends and {names} names: {body}").into());
    }
    let accounts = set.accounts;
    let verify = calls::im("getUserVerify", move |n| {
        format!("{{\"useracc\":\"{}\"}}", uid(crate::data::chance(n) % accounts + 1))
    })?;
    report.head(&COLUMNS)?;
    let jobs = [
        ("page of 50 friends, names and avatars", page, PAGE, Aim::AtLeast(0.7), Aim::AtLeast(0.6)),
        ("getUserVerify", verify, BY_KEY, Aim::AtLeast(0.65), Aim::None),
    ];
    for (what, mut calls, sql, of_service, of_gateway) in jobs {
        calls.connections = CONNECTIONS;
        let name = if sql == PAGE { "page" } else { "key" };
        let contest = Contest {
            what: what.into(),
            sides: vec![
                stores.side("service", calls.to(direct), behind.clone(), of_service),
                stores.side("gateway", calls.to(door), services.trees(), of_gateway),
                stores.pgbench(plan, &peer, (name, &script(sql)), u64::MAX)?,
            ],
        };
        contest.hold(plan, report)?;
    }
    Ok(())
}
