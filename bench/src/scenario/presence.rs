//! The presence of 200 users in one call, beside one MGET of the same values.

use super::{Aim, Stores};
use crate::calls::{asked, online_status, tokens};
use crate::contest::{COLUMNS, Contest, Side};
use crate::data::{Set, uid};
use crate::load::{Calls, Load, Protocol};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Service, Services, command};
use crate::sockets::Sockets;
use crate::{Failure, Result};

const ASKED: u64 = 200;
/// As many as keep Redis, which has one thread, busy.
const REDIS_CONNECTIONS: usize = 4;

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let stores = Stores::start(plan, "presence", Set::of(plan.accounts))?;
    let parts = [Service::Gateway, Service::ImAuth];
    let services = Services::start(plan, "presence", &parts, &stores.postgres, &stores.redis)?;
    let (direct, door) = (services.address(Service::ImAuth)?, services.address(Service::Gateway)?);
    // Half of those who are asked for are online.
    let online = plan.of(2_000, 100);
    let uids: Vec<String> = (1..=online).map(uid).collect();
    let sockets = Sockets::open(direct, tokens(direct, &uids)?)?;

    let calls = online_status(ASKED, 2 * online).to(direct);
    let body = calls.once()?;
    let away = body.matches("\"status\":\"offline\"").count() as u64;
    if body.matches("\"userID\"").count() as u64 != ASKED || away == 0 || away == ASKED {
        return Err(format!("{away} of {ASKED} users offline are strange: {body}").into());
    }
    let key = stores.redis.ask(&["KEYS", &format!("*{}", uid(1))])?;
    let key = key.lines().find(|line| line.ends_with(&uid(1))).ok_or_else(|| Failure::from("no presence in Redis"))?;
    let prefix = key.trim_end_matches(&uid(1)).to_owned();
    let mut raw = Calls::new(stores.redis.address, REDIS_CONNECTIONS, "*200\r\n", move |n, out| {
        let keys = asked(n, ASKED, 2 * online).map(|uid| format!("{prefix}{uid}"));
        let words: Vec<String> = std::iter::once("MGET".to_owned()).chain(keys).collect();
        command(out, &words);
    });
    raw.protocol = Protocol::Redis;
    let service = vec![services.tree(Service::ImAuth)?];
    report.head(&COLUMNS)?;
    let contest = Contest {
        what: format!("online status of {ASKED} users"),
        sides: vec![
            stores.side("service", calls.clone(), service, Aim::AtLeast(0.5)),
            stores.side("gateway", calls.to(door), services.trees(), Aim::None),
            Side {
                name: "Redis, MGET".into(),
                load: Load::Calls(raw),
                cost: vec![("stores", vec![stores.redis.tree()])],
                memory: Vec::new(),
                aim: Aim::None,
            },
        ],
    };
    contest.hold(plan, report)?;
    sockets.close()
}
