//! `kith` as somebody's process: how long until it answers, what it holds in memory, what idle sockets add.

use super::Aim;
use crate::calls::{online_status, tokens};
use crate::cost::{self, Tree};
use crate::data::{self, Set, uid};
use crate::load::Calls;
use crate::plan::Plan;
use crate::report::{Report, median, span};
use crate::servers::{Kith, Postgres, Redis, Service, Services, get};
use crate::sockets::Sockets;
use crate::{Result, calls};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

const COLUMNS: [&str; 4] = ["what", "figure", "unit", "aim"];
/// Until what was needed only for a start is given back.
const SETTLED: Duration = Duration::from_secs(6);
const ASKED: u64 = 200;

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let set = Set::of(plan.accounts);
    let data = plan.folder.join("data");
    data::sqlite(plan, &data, set)?;
    report.head(&COLUMNS)?;
    let (mut times, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..plan.of(10, 2) {
        let (time, memory) = start(plan, &data)?;
        times.push(time);
        idle.push(memory);
    }
    let accounts = plan.accounts;
    let judged = report.judge("start", "kith", &Aim::AtMost(300.0), median(&times));
    report.row(&[&format!("start to first answer, {accounts} accounts"), &span(&times, 0), "ms", &judged])?;
    let judged = report.judge("idle memory", "kith", &Aim::AtMost(40.0), median(&idle));
    report.row(&["resident when idle", &span(&idle, 1), "MiB", &judged])?;

    let kith = Kith::start(plan, &data)?;
    let count = plan.of(6_000, 200);
    sockets(plan, report, "kith", kith.address, kith.address, &[kith.tree()], count)?;
    drop(kith);

    let (postgres, redis) = (Postgres::start(&plan.folder, &[])?, Redis::start(&plan.folder)?);
    data::postgres(plan, "sockets", set, &postgres, &redis)?;
    let parts = [Service::Gateway, Service::ImAuth];
    let services = Services::start(plan, "sockets", &parts, &postgres, &redis)?;
    let (door, auth) = (services.address(Service::Gateway)?, services.address(Service::ImAuth)?);
    sockets(plan, report, "gateway and svc-im-auth", door, auth, &services.trees(), plan.of(9_000, 200))
}

/// Milliseconds from its start to the first answer, and MiB that it holds a while later.
fn start(plan: &Plan, data: &std::path::Path) -> Result<(f64, f64)> {
    let begun = Instant::now();
    let mut kith = Kith::spawn(plan, data)?;
    let (address, path) = (kith.address, format!("/cmd/?cmd=get_userinfo&username={}", uid(1)));
    let answers = || get(address, &path).is_some_and(|body| body.starts_with("{\"ret\":\"ok\""));
    kith.process.until_looking(Duration::from_millis(2), answers)?;
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    sleep(plan.of(SETTLED, Duration::ZERO));
    Ok((time, cost::memory(&[kith.tree()]) as f64 / 1024.0))
}

/// What `count` idle sockets through `door` add to the memory of `trees`, and whether they and nobody else are online.
fn sockets(
    plan: &Plan,
    report: &mut Report,
    who: &str,
    door: SocketAddr,
    auth: SocketAddr,
    trees: &[Tree],
    count: u64,
) -> Result<()> {
    let uids: Vec<String> = (1..=count).map(uid).collect();
    let tokens = tokens(auth, &uids)?;
    let probe = online_status(1, count).to(auth);
    probe.once()?;
    require_online(auth, 0, count)?;
    sleep(plan.of(SETTLED, Duration::ZERO));
    let before = cost::memory(trees);
    let sockets = Sockets::open(door, tokens)?;
    require_online(auth, count, count)?;
    sleep(plan.of(SETTLED, Duration::ZERO));
    let after = cost::memory(trees);
    let kib = after.saturating_sub(before) as f64 / count as f64;
    let judged = report.judge("idle sockets", who, &Aim::AtMost(12.0), kib);
    report.row(&[&format!("{count} idle sockets, {who}"), &format!("{kib:.1}"), "KiB a socket", &judged])?;
    require_online(auth, count, count)?;
    sockets.close()?;
    let limit = Instant::now() + Duration::from_secs(10);
    while let Err(e) = require_online(auth, 0, count) {
        if Instant::now() > limit {
            return Err(e);
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Of the first `among` users the first `online` are, and no others.
fn require_online(address: SocketAddr, online: u64, among: u64) -> Result<()> {
    for first in (1..=among).step_by(usize::try_from(ASKED)?) {
        let last = among.min(first + ASKED - 1);
        let uids: Vec<String> = (first..=last).map(|n| format!("\"{}\"", uid(n))).collect();
        let body = calls::online_body(&uids.join(","));
        let ask = Calls::new(address, 1, "{\"errCode\":0,", move |_, out| {
            calls::post(out, "/user/get_users_online_status", "application/json", "", &body);
        });
        let answer = ask.once()?;
        let expected = online.clamp(first - 1, last) + 1 - first;
        let seen = (last + 1 - first) - answer.matches("\"status\":\"offline\"").count() as u64;
        if seen != expected {
            return Err(format!("of users {first} to {last} {seen} are online instead of {expected}").into());
        }
    }
    Ok(())
}
