//! The command `kith`.

use crate::stack::{Settings, Stack};
use crate::{admin, migrate, outbox, reference};
use clap::{Parser, Subcommand};
use service_kit::clock::Clock;
use service_kit::process::{effective, effective_section, failed, print, raise_open_files, refuse_huge_pages};
use service_kit::server::until_signal;
use service_kit::service::Environment;
use service_kit::settings::{Loaded, SettingsError};
use service_kit::state::State;
use service_kit::{Error, Result, log as kit_log};
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

/// The whole of Kith in one process.
#[derive(Debug, Parser)]
#[command(name = "kith", version, about)]
struct Args {
    /// Settings file; without it kith.toml in the working folder, if there.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the gateway and the four services (also without a command).
    Run,
    /// Validates the settings and prints those in force, secrets masked.
    Check,
    /// What other systems must still be told of changes made here.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Brings the schema of every service's database up to date, and ends.
    Migrate,
    /// Accounts: passwords, administrators, log-outs.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Prints docs/configuration.md.
    #[command(hide = true)]
    SettingsReference,
}

pub fn main() -> ExitCode {
    let args = Args::parse();
    let loaded = match Loaded::read(args.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(e) => return failed(2, &e),
    };
    match args.command.unwrap_or(Command::Run) {
        Command::Check => match check(&loaded) {
            Ok(parts) => print(&parts),
            Err(e) => failed(2, &e),
        },
        Command::Outbox(command) => on_databases(&loaded, async |settings| outbox::run(command, settings).await),
        Command::Migrate => on_databases(&loaded, async |settings| migrate::run(settings).await),
        Command::Admin(command) => on_databases(&loaded, async |settings| admin::run(command, settings).await),
        Command::SettingsReference => print(&[reference::configuration().trim_end().to_owned()]),
        Command::Run => match Settings::of(&loaded) {
            Ok(settings) => run(settings),
            Err(e) => failed(2, &e),
        },
    }
}

/// Runs a command that works on the databases and prints what it answers.
fn on_databases(loaded: &Loaded, run: impl AsyncFnOnce(&Settings) -> Result<Vec<String>>) -> ExitCode {
    match Settings::of(loaded) {
        Ok(settings) => {
            let done = actix_rt::System::new().block_on(run(&settings));
            done.map_or_else(|e| failed(1, &e.text()), |lines| print(&lines))
        }
        Err(e) => failed(2, &e),
    }
}

fn check(loaded: &Loaded) -> Result<Vec<String>, SettingsError> {
    let s = Settings::of(loaded)?;
    Ok(vec![
        effective(&s.common),
        effective_section(&s.gateway),
        effective_section(&s.im_auth),
        effective_section(&s.terminal_user),
        effective_section(&s.groups),
        effective_section(&s.friends),
    ])
}

fn run(settings: Settings) -> ExitCode {
    kit_log::start(settings.common.log.format);
    refuse_huge_pages();
    // Client to gateway, gateway to service, and the service's own end of that.
    let limits = &settings.gateway.limits;
    raise_open_files(limits.connections.saturating_add(limits.sockets).saturating_mul(3));
    let drain = settings.common.drain.into();
    actix_rt::System::new().block_on(async move {
        let stack = match start(settings).await {
            Ok(stack) => stack,
            Err(e) => {
                log::error!("{}", e.chain());
                return failed(1, &e);
            }
        };
        let gateway = stack.gateway;
        let mut ending = pin!(until_signal(stack.into_servers(), drain));
        let mut greeted = false;
        let ended = poll_fn(|cx| {
            let ended = ending.as_mut().poll(cx);
            // Not before signals are listened for: whoever reads that it is ready may end it at once.
            if !std::mem::replace(&mut greeted, true)
                && let Err(e) = greet(gateway)
            {
                log::warn!("standard output: {e}");
            }
            ended
        });
        match ended.await {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => failed(1, &e),
        }
    })
}

async fn start(settings: Settings) -> Result<Stack> {
    let state = State::open(&settings.common.state).await.map_err(Error::internal)?;
    Stack::start(settings, Environment { state, clock: Clock::system() }).await
}

/// Standard output is for people; the log is for machines.
fn greet(gateway: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "kith ready: http://{gateway}")?;
    writeln!(
        out,
        "Try: curl http://{gateway}/auth/user_register -d '{{\"secret\":\"tuoyun\",\"platform\":1,\"uid\":\"alice\",\"name\":\"Alice\"}}'"
    )?;
    writeln!(out, "Next: the five-minute tour in README.md. Ctrl-C ends it.")?;
    out.flush()
}
