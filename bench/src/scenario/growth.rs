//! The same calls on data sets of three sizes, in turns: what a request costs shall not grow with what there is.

use super::Aim;
use crate::Result;
use crate::calls::{self, Signed, online_status, tokens};
use crate::cost::{self, Tree};
use crate::data::{self, EPOCH, POPULAR_FRIENDS, Set, chance, uid};
use crate::load::{Calls, Load, Pace};
use crate::plan::Plan;
use crate::report::{Report, median};
use crate::servers::{Postgres, Redis, STORING, Service, Services};
use crate::sockets::Sockets;
use std::time::Duration;

const COLUMNS: [&str; 7] = [
    "call",
    "accounts",
    "per second",
    "service CPU s per 100k",
    "stores' CPU s per 100k",
    "pages read per call",
    "p99 ms",
];
const AIM: Aim = Aim::AtMost(1.3);
/// Fewer than elsewhere: it is about one request's cost.
const CONNECTIONS: usize = 16;
/// The delta that is asked for: entries after this one of a popular account's list.
const SEEN: u64 = POPULAR_FRIENDS - 5;

/// A stack on one size of the data.
struct Sized {
    accounts: u64,
    database_names: Vec<String>,
    services: Services,
    calls: Vec<(&'static str, Calls)>,
    _sockets: Sockets,
}

/// What one call costs at one size, round by round.
#[derive(Default)]
struct Costs {
    rate: Vec<f64>,
    service: Vec<f64>,
    stores: Vec<f64>,
    pages: Vec<f64>,
    p99: Vec<f64>,
}

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    // It alone knows what each statement has read; everybody else's figures would only be older.
    let more = ["shared_preload_libraries=pg_stat_statements", "max_wal_size=2GB"];
    let postgres = Postgres::start(&plan.folder, &more)?;
    postgres.execute("postgres", "CREATE EXTENSION pg_stat_statements")?;
    let redis = Redis::start(&plan.folder)?;
    let sizes = plan.of([10_000, 100_000, 1_000_000], [1_000, 2_000, 4_000]);
    let stacks = sizes.map(|accounts| stack(plan, accounts, &postgres, &redis));
    let stacks = stacks.into_iter().collect::<Result<Vec<Sized>>>()?;
    let stores = [postgres.tree(), redis.tree()];
    report.head(&COLUMNS)?;
    let names: Vec<&str> = stacks.first().map_or_else(Vec::new, |s| s.calls.iter().map(|(name, _)| *name).collect());
    for (n, name) in names.into_iter().enumerate() {
        postgres.checkpoint()?;
        let mut costs: Vec<Costs> = stacks.iter().map(|_| Costs::default()).collect();
        // Fills caches.
        for stack in stacks.iter().filter(|_| !plan.smoke) {
            turn(stack, n, Duration::from_secs(1), &postgres, &stores, &mut Costs::default())?;
        }
        for _ in 0..plan.rounds {
            for (stack, costs) in stacks.iter().zip(&mut costs) {
                turn(stack, n, plan.time(), &postgres, &stores, costs)?;
            }
        }
        show(name, &stacks, &costs, report)?;
    }
    Ok(())
}

fn stack(plan: &Plan, accounts: u64, postgres: &Postgres, redis: &Redis) -> Result<Sized> {
    let set = Set::of(accounts);
    let name = format!("n{accounts}");
    data::postgres(plan, &name, set, postgres, redis)?;
    let services = Services::start(plan, &name, &STORING, postgres, redis)?;
    let (auth, groups) = (services.address(Service::ImAuth)?, services.address(Service::Groups)?);
    let friends = services.address(Service::Friends)?;
    let people: Vec<String> = (0..plan.of(3_000, 200)).map(|n| uid(set.ordinary(n * 7))).collect();
    let signed = Signed::with_token(auth, &people)?;
    let after = chrono::DateTime::from_timestamp_millis(i64::try_from(EPOCH + 1000 * SEEN)? + 8 * 3_600_000);
    let after = after.ok_or("no such time")?.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    let popular = set.popular();
    let delta = calls::im("getFriends", move |n| {
        let owner = uid(chance(n) % popular + 1);
        format!("{{\"useracc\":\"{owner}\",\"timestamp\":\"{after}\",\"isUpdate\":\"1\",\"size\":\"50\"}}")
    })?;
    let online: Vec<String> = (1..=plan.of(1_000, 50)).map(uid).collect();
    let sockets = Sockets::open(auth, tokens(auth, &online)?)?;
    let presence = online_status(200, accounts).to(auth);
    presence.once()?;
    // From the middle of one of the ten largest groups, which are as much larger as everything else.
    let page = signed.calls(
        move |n| format!("/im/{}/group_get_user_list/", chance(n) % 10 + 1),
        match accounts {
            10_000 => "&size=50&page=2",
            100_000 => "&size=50&page=11",
            1_000_000 => "&size=50&page=101",
            _ => "&size=5&page=2",
        },
    );
    let mut calls = vec![
        ("page of 50 friends", calls::friends_page(popular)?.to(friends)),
        // How much of it is that fewer of the names asked for were asked for a moment ago.
        ("the same, of 1,000 owners", calls::friends_page(popular.min(1_000))?.to(friends)),
        ("delta of a friends list", delta.to(friends)),
        ("join", signed.joins(2, (set.groups() - 1).min(90)).to(groups)),
        ("page of 50 members", page.to(groups)),
        ("online status of 200 users", presence),
    ];
    for (_, calls) in &mut calls {
        calls.connections = plan.of(CONNECTIONS, 2);
        calls.once()?;
    }
    let database_names = STORING.iter().map(|service| service.database(&name)).collect();
    Ok(Sized { accounts, database_names, services, calls, _sockets: sockets })
}

fn turn(
    stack: &Sized,
    n: usize,
    time: Duration,
    postgres: &Postgres,
    stores: &[Tree],
    costs: &mut Costs,
) -> Result<()> {
    let services = stack.services.trees();
    let pages = || -> Result<i64> {
        let names = stack.database_names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",");
        let sql = format!(
            "SELECT coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::bigint AS n FROM pg_stat_statements AS s \
             JOIN pg_database AS d ON d.oid = s.dbid WHERE d.datname IN ({names})"
        );
        postgres.number("postgres", &sql)
    };
    let load = Load::Calls(stack.calls[n].1.clone());
    load.warm_up(Pace::Closed, time)?;
    let before = (pages()?, cost::cpu(&services), cost::cpu(stores));
    let tally = load.run(Pace::Closed, time)?;
    let after = (cost::cpu(&services), cost::cpu(stores), pages()?);
    let answers = tally.answers.max(1) as f64;
    costs.rate.push(tally.rate());
    costs.service.push((after.0 - before.1) * 100_000.0 / answers);
    costs.stores.push((after.1 - before.2) * 100_000.0 / answers);
    costs.pages.push((after.2 - before.0) as f64 / answers);
    costs.p99.push(tally.quantile(0.99));
    Ok(())
}

fn show(name: &str, stacks: &[Sized], costs: &[Costs], report: &mut Report) -> Result<()> {
    for (n, (stack, costs)) in stacks.iter().zip(costs).enumerate() {
        report.row(&[
            if n == 0 { name.to_owned() } else { String::new() },
            stack.accounts.to_string(),
            format!("{:.0}", median(&costs.rate)),
            format!("{:.2}", median(&costs.service)),
            format!("{:.2}", median(&costs.stores)),
            format!("{:.1}", median(&costs.pages)),
            format!("{:.2}", median(&costs.p99)),
        ])?;
    }
    let (Some(small), Some(large)) = (costs.first(), costs.last()) else { return Ok(()) };
    let growth = |of: fn(&Costs) -> &Vec<f64>| {
        let (small, large) = (median(of(small)), median(of(large)));
        // Nothing is read of the database: then that does not grow.
        if small < 0.01 && large < 0.01 { 1.0 } else { large / small }
    };
    let cpu = growth_of_sum(small, large);
    let pages = growth(|c| &c.pages);
    let judged =
        [report.judge(name, "CPU, service and stores", &AIM, cpu), report.judge(name, "pages read", &AIM, pages)];
    report.row(&[
        String::new(),
        "growth".to_owned(),
        String::new(),
        format!("{:.2}", growth(|c| &c.service)),
        format!("{:.2}; both {cpu:.2} ({})", growth(|c| &c.stores), judged[0]),
        format!("{pages:.2} ({})", judged[1]),
        format!("{:.2}", growth(|c| &c.p99)),
    ])
}

fn growth_of_sum(small: &Costs, large: &Costs) -> f64 {
    let sum = |c: &Costs| median(&c.service) + median(&c.stores);
    sum(large) / sum(small)
}
