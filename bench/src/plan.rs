//! How much is measured.

use crate::load::WARM_UP;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measures Kith against its peers and against the bare parts (docs/performance.md).
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version, about)]
pub struct Plan {
    /// Which scenarios; without any, all.
    pub scenarios: Vec<String>,
    /// Where the services' binaries are.
    #[arg(long, value_name = "FOLDER")]
    pub binaries: PathBuf,
    /// An empty folder for data and logs; whoever gives it removes it.
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Everything once, shortly and on few data, only to see that it runs: figures mean nothing.
    #[arg(long)]
    pub smoke: bool,
    /// Times that each side has its turn.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Whole seconds of one turn.
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Accounts of the data set; others have their share of that.
    #[arg(long, default_value_t = 100_000)]
    pub accounts: u64,
    /// Has the services log what they do, into the folder.
    #[arg(long, default_value = "warn")]
    pub log: String,
}

impl Plan {
    /// With what the smoke run makes small.
    pub fn settled(mut self) -> Self {
        if self.smoke {
            (self.rounds, self.seconds, self.accounts) = (1, 1, 2_000);
        }
        self
    }

    /// Of one turn.
    pub fn time(&self) -> Duration {
        self.of(Duration::from_secs(self.seconds), Duration::from_millis(100))
    }

    /// Turns at a fixed rate.
    pub fn open_rounds(&self) -> u32 {
        self.rounds.div_ceil(2)
    }

    /// So many or, in a smoke run, so few.
    pub fn of<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }

    /// An upper bound of the calls that one side of a contest gets at `rate` a second.
    pub fn calls_at(&self, rate: u64) -> u64 {
        let turns = u64::from(self.rounds + self.open_rounds());
        let time = (self.time() + WARM_UP).as_secs_f64() * turns as f64 + 2.0;
        (time * rate as f64) as u64
    }
}
