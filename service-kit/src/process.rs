//! A process from its arguments to its exit code; each binary's `main` is one call of [`main`].

use crate::error::Result;
use crate::log as kit_log;
use crate::server::{Running, until_signal};
use crate::settings::{Common, Loaded, Section, SettingsError};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of every binary.
#[derive(Debug, Parser)]
#[command(version, about = "A part of Kith. Settings come from a file and from KITH__SECTION__KEY variables.")]
struct Args {
    /// Settings file; without it kith.toml in the working folder, if there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Validates the settings, prints those in force with secrets masked, and ends.
    #[arg(long)]
    check: bool,
}

/// Runs one server until it is told to end. Exit code 0 after a clean end, 2 for wrong settings, 1 otherwise.
pub fn main<S, F>(start: impl FnOnce(Common, S) -> F) -> ExitCode
where
    S: Section,
    F: Future<Output = Result<Running>>,
{
    let args = Args::parse();
    let (common, section) = match read::<S>(args.config) {
        Ok(parts) => parts,
        Err(e) => return failed(2, &e),
    };
    if args.check {
        return print(&[effective(&common), effective_section(&section)]);
    }
    kit_log::start(common.log.format);
    refuse_huge_pages();
    raise_open_files(section.connections());
    let drain = common.drain.into();
    actix_rt::System::new().block_on(async move {
        match start(common, section).await {
            Ok(running) => {
                log::info!("{} listens on {}, internally on {}", running.name, running.public, running.internal);
                match until_signal(vec![running], drain).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(e) => failed(1, &e),
                }
            }
            Err(e) => {
                log::error!("{}", e.chain());
                ExitCode::FAILURE
            }
        }
    })
}

fn read<S: Section>(file: Option<PathBuf>) -> Result<(Common, S), SettingsError> {
    let loaded = Loaded::read(file.as_deref())?;
    let common = loaded.common()?;
    let section: S = loaded.section(&common)?;
    // Those with a database share a state store too.
    if section.database().is_some() {
        common.refuse_store_in_memory()?;
    }
    Ok((common, section))
}

/// Keeps the kernel from backing memory with pages of 2 MiB, as many systems do wherever it fits: every thread has a
/// small heap of its own, and most of each such page would never be used.
pub fn refuse_huge_pages() {
    if let Err(e) = rustix::thread::disable_transparent_huge_pages(true) {
        log::debug!("huge pages stay as the system has them: {e}");
    }
}

/// Files that a process has open besides its connections: databases, threads, Redis, the log.
const OTHER_FILES: u64 = 500;

/// Raises the limit of open files as far as the system lets us: systems start processes with 1024, for the sake of
/// programs that use `select`. Warns where that is still too little for so many connections.
pub fn raise_open_files(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(e) => {
            log::warn!("the limit of open files stays as it is: {e}");
            limit.current
        }
    };
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    // None is no limit.
    if let Some(files) = in_force.filter(|files| *files < needed) {
        log::warn!("only {files} files may be open, and the limits of connections need {needed}: raise nofile");
    }
}

/// Says on standard error why the process ends.
pub fn failed(code: u8, why: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell if even that fails.
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(code)
}

/// Prints parts of the effective settings on standard output.
pub fn print(parts: &[String]) -> ExitCode {
    match writeln!(io::stdout(), "{}", parts.join("\n")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failed(1, &e),
    }
}

/// The top level as TOML, secrets masked.
pub fn effective(common: &Common) -> String {
    let mut shown = common.clone();
    shown.apps = common.effective_apps();
    toml::to_string(&shown).unwrap_or_else(|e| format!("# {e}\n"))
}

/// A section as TOML, secrets masked.
pub fn effective_section<S: Section>(section: &S) -> String {
    #[derive(Serialize)]
    struct Named<'a, S>(std::collections::BTreeMap<&'static str, &'a S>);
    toml::to_string(&Named([(S::NAME, section)].into())).unwrap_or_else(|e| format!("# {e}\n"))
}
