//! Measures Kith: against its peers, against the bare parts that it is made of, and against itself on more data.
//! Everything that is compared runs on the same machine in the same run, in turns. `scripts/bench.sh` starts it.

mod calls;
mod contest;
mod cost;
mod data;
mod load;
mod plan;
mod report;
mod scenario;
mod servers;
mod sockets;
mod upstream;

use clap::Parser;
use plan::Plan;
use report::Report;
use std::io::Write;
use std::process::ExitCode;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Failure> = std::result::Result<T, E>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The server behind the compared proxies is this program, too: a process of its own, so that its CPU time is.
    let mut arguments = std::env::args().skip(1);
    let done = match (arguments.next().as_deref(), arguments.next()) {
        (Some("upstream"), Some(address)) => upstream::serve(&address),
        _ => measure(&Plan::parse().settled()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Standard error being gone is no reason to say nothing at all.
            let _ = writeln!(std::io::stderr().lock(), "error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan) -> Result<()> {
    let mut report = Report::new(!plan.smoke);
    let all = scenario::ALL;
    let unknown = plan.scenarios.iter().find(|name| all.iter().all(|scenario| scenario.name != **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
        return Err(format!("{name}: no such scenario; there are {}", names.join(", ")).into());
    }
    for scenario in all {
        if plan.scenarios.is_empty() || plan.scenarios.iter().any(|name| name == scenario.name) {
            report.title(scenario.title)?;
            // A folder each, which goes when its servers have gone.
            let plan = Plan { folder: plan.folder.join(scenario.name), ..plan.clone() };
            std::fs::create_dir_all(&plan.folder)?;
            (scenario.run)(&plan, &mut report).map_err(|e| format!("{}: {e}", scenario.name))?;
            std::fs::remove_dir_all(&plan.folder)?;
        }
    }
    report.end()
}
