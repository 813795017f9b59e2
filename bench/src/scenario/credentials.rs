//! Document 003 sends the password with every call: what that costs beside a token, once it was right.

use super::{Aim, Stores};
use crate::Result;
use crate::calls::Signed;
use crate::contest::{COLUMNS, Contest};
use crate::data::{PASSWORD, Set, chance, uid};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Service, Services};

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let set = Set { with_password: true, ..Set::of(plan.accounts) };
    let stores = Stores::start(plan, "credentials", set)?;
    let parts = [Service::ImAuth, Service::Groups];
    let services = Services::start(plan, "credentials", &parts, &stores.postgres, &stores.redis)?;
    let (auth, groups) = (services.address(Service::ImAuth)?, services.address(Service::Groups)?);
    let count = plan.of(200, 5);
    // Different people, because what one has joined the other cannot join again.
    let people: Vec<String> = (1..=2 * count).map(uid).collect();
    let (with_password, with_token) = people.split_at(count as usize);
    let password = Signed::with_password(with_password, PASSWORD);
    let token = Signed::with_token(auth, with_token)?;
    // Few at a time: hashing is meant to be slow.
    let mut first = password.checks().to(groups);
    first.connections = 2;
    first.each(count)?;

    report.head(&COLUMNS)?;
    let of = set.groups();
    let jobs = |who: &Signed| {
        [
            ("list of a user's groups", who.groups()),
            ("page of 20 members", who.members(move |n| chance(n) % of + 1, "&page=1&size=20")),
            ("join", who.joins(2, of - 1)),
        ]
    };
    for ((what, password), (_, token)) in jobs(&password).into_iter().zip(jobs(&token)) {
        let trees = services.trees();
        let contest = Contest {
            what: what.into(),
            sides: vec![
                stores.side("password", password.to(groups), trees.clone(), Aim::AtLeast(0.9)),
                stores.side("token", token.to(groups), trees, Aim::None),
            ],
        };
        stores.postgres.checkpoint()?;
        contest.hold(plan, report)?;
    }
    Ok(())
}
