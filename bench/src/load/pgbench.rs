//! The same statements sent by pgbench, which is as good as PostgreSQL's own clients get.

use super::{Pace, Tally};
use crate::{Failure, Result};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const CLIENTS: u64 = 16;
/// Of so many transactions the times are kept.
const SAMPLED: f64 = 0.1;

pub struct Pgbench {
    folder: PathBuf,
    port: u16,
    database: String,
    script: PathBuf,
    /// What `:base` begins at, so that what is new stays new from run to run.
    base: Cell<u64>,
    /// So many numbers are good.
    most: u64,
    pub clients: u64,
}

impl Pgbench {
    /// `script` may count with `:base` (this run's first number), `:client_id` and `:step`, up to `most`.
    pub fn new(folder: &Path, port: u16, database: &str, name: &str, script: &str, most: u64) -> Result<Self> {
        let file = folder.join(format!("{name}.pgbench"));
        fs::write(&file, script)?;
        let (folder, database, base) = (folder.to_owned(), database.to_owned(), Cell::new(0));
        Ok(Self { folder, port, database, script: file, base, most, clients: CLIENTS })
    }

    pub fn run(&self, pace: Pace, time: Duration) -> Result<Tally> {
        let prefix = self.folder.join("pgbench-log");
        let mut command = Command::new("pgbench");
        command.args(["-n", "-h", "127.0.0.1", "-U", "postgres", "-M", "prepared", "-j", "2", "-p"]);
        command.arg(self.port.to_string()).arg("-c").arg(self.clients.to_string()).arg("-f").arg(&self.script);
        command.arg("-D").arg(format!("base={}", self.base.get())).args(["-D", "n=0", "-D"]);
        command.arg(format!("step={}", self.clients));
        // It knows whole seconds only.
        match time.as_secs() {
            0 => command.args(["-t", "5"]),
            seconds => command.arg("-T").arg(seconds.to_string()),
        };
        command.arg("--log").arg(format!("--log-prefix={}", prefix.display()));
        command.arg(format!("--sampling-rate={SAMPLED}"));
        if let Pace::Open(rate) = pace {
            command.arg(format!("--rate={rate}"));
        }
        let output = command.arg(&self.database).output().map_err(|e| format!("pgbench: {e}"))?;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let failed = || -> Failure { format!("pgbench {}: {text}\n{errors}", self.script.display()).into() };
        if !output.status.success() {
            return Err(failed());
        }
        let value = |name: &str| -> Option<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.split('/').next()?.parse().ok()
        };
        let mut tally = Tally::empty()?;
        self.times(&mut tally)?;
        let rate = value("tps = ").ok_or_else(failed)?;
        let done = value("number of transactions actually processed: ").ok_or_else(failed)?;
        tally.answers = done as u64;
        tally.seconds = done / rate.max(1e-9);
        // Clients get on at different speeds.
        self.base.set(self.base.get() + (tally.answers / self.clients * 5 / 4 + 100) * self.clients);
        if self.base.get() > self.most {
            return Err(format!("there are only {} such transactions: shorten the run", self.most).into());
        }
        Ok(tally)
    }

    /// Reads the sampled times, one log a thread, and removes them.
    fn times(&self, tally: &mut Tally) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgbench-log."));
            if !is_log {
                continue;
            }
            for line in fs::read_to_string(&path)?.lines() {
                if let Some(micros) = line.split(' ').nth(2).and_then(|field| field.parse().ok()) {
                    tally.record(Duration::from_micros(micros));
                }
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }
}
