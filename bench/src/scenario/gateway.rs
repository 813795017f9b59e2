//! The gateway and nginx before the same server: what a proxy costs. Request ids and metrics are on, as always;
//! access logs are off in both.

use super::Aim;
use crate::contest::{COLUMNS, Contest, Side};
use crate::load::{Calls, Load};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Nginx, Program, free_port, get, local};
use crate::{Result, calls, upstream};
use std::net::TcpStream;

const CONNECTIONS: usize = 64;
const BODY: usize = 4096;

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let workers = std::thread::available_parallelism()?.get();
    let behind = local(free_port());
    let program = Program::new("upstream", std::env::current_exe()?, &plan.folder);
    let mut server = program.arguments(["upstream".to_owned(), behind.to_string()]).start()?;
    server.until(|| TcpStream::connect(behind).is_ok())?;
    let nginx = Nginx::start(&plan.folder, behind, workers)?;
    let (public, internal) = (local(free_port()), local(free_port()));
    let program = Program::new("gateway", plan.binaries.join("gateway"), &plan.folder).environment(&[
        ("KITH__GATEWAY__LISTEN", public.to_string()),
        ("KITH__GATEWAY__INTERNAL_LISTEN", internal.to_string()),
        ("KITH__GATEWAY__UPSTREAMS__IM_AUTH", behind.to_string()),
        ("RUST_LOG", plan.log.clone()),
    ]);
    let mut gateway = program.start()?;
    gateway.until(|| get(internal, "/readyz").is_some())?;

    report.head(&COLUMNS)?;
    let get = Calls::new(behind, CONNECTIONS, "{\"errCode\":0,", |_, out| {
        out.extend_from_slice(b"GET /user/anything HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n");
    });
    let echo = Calls::new(behind, CONNECTIONS, "xxxxxxxx", |_, out| {
        calls::post(out, "/user/anything", "application/octet-stream", "", &"x".repeat(BODY));
    });
    for (what, calls) in [("GET of 200 bytes", get), ("POST of 4 KiB, echoed", echo)] {
        let body = calls.to(public).once()?;
        if body != upstream::json() && body.len() != BODY {
            return Err(format!("the gateway answers something else: {body}").into());
        }
        let side = |name: &str, address, tree, aim| Side {
            name: name.into(),
            load: Load::Calls(calls.to(address)),
            cost: vec![("proxy", vec![tree])],
            memory: vec![tree],
            aim,
        };
        let contest = Contest {
            what: what.into(),
            sides: vec![
                side("gateway", public, gateway.tree(), Aim::AtLeast(1.0)),
                side("nginx", nginx.address, nginx.tree(), Aim::None),
            ],
        };
        let outcome = contest.hold(plan, report)?;
        let (closed, open) = (outcome.closed_p99(), outcome.open_p99());
        let judged = report.judge(what, "p99 of the gateway to nginx's", &Aim::AtMost(1.2), closed.max(open));
        report.row(&[
            "",
            "p99 to nginx's",
            "",
            &format!("{closed:.2} closed, {open:.2} open"),
            &judged,
            "",
            "",
            "",
            "",
        ])?;
    }
    Ok(())
}
