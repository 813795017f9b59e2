//! Sides that do the same job, loaded in turns: A B A B, so that whatever else the machine does meets all of them.

use crate::Result;
use crate::cost::{self, Tree};
use crate::load::{Load, Pace, Tally};
use crate::plan::Plan;
use crate::report::{Report, median, span};
use crate::scenario::Aim;
use std::time::Duration;

/// Both sides answer at this share of what the slower one can do.
const OPEN_SHARE: f64 = 0.6;

pub struct Side {
    pub name: String,
    pub load: Load,
    /// Whose CPU time counts, by what it is called in the table.
    pub cost: Vec<(&'static str, Vec<Tree>)>,
    /// Whose memory counts: not databases.
    pub memory: Vec<Tree>,
    /// Of its rate to the last side's.
    pub aim: Aim,
}

/// The last side is what the others are compared with.
pub struct Contest {
    pub what: String,
    pub sides: Vec<Side>,
}

/// What one side did in its turns.
#[derive(Default)]
pub struct Turns {
    pub rates: Vec<f64>,
    pub p50: Vec<f64>,
    pub p99: Vec<f64>,
    pub open_p50: Vec<f64>,
    pub open_p99: Vec<f64>,
    /// CPU seconds per 100,000 answers, by part.
    pub cost: Vec<Vec<f64>>,
    /// MiB.
    pub memory: f64,
}

/// One contest's outcome: the first side beside the last one.
pub struct Outcome {
    pub ratio: f64,
    first: Turns,
    last: Turns,
}

impl Outcome {
    /// The first side's p99 to the last one's, each at its own rate.
    pub fn closed_p99(&self) -> f64 {
        median(&self.first.p99) / median(&self.last.p99)
    }

    /// The same, both at the same rate.
    pub fn open_p99(&self) -> f64 {
        median(&self.first.open_p99) / median(&self.last.open_p99)
    }
}

impl Contest {
    pub fn hold(mut self, plan: &Plan, report: &mut Report) -> Result<Outcome> {
        let time = plan.time();
        if plan.smoke {
            // A busy machine must not make a smoke run fail.
            self.sides.iter_mut().for_each(|side| side.load.calm(2));
        }
        if !plan.smoke {
            for side in &self.sides {
                side.load.run(Pace::Closed, Duration::from_secs(1))?;
            }
        }
        let mut turns: Vec<Turns> = self.sides.iter().map(|_| Turns::default()).collect();
        for _ in 0..plan.rounds {
            for (side, turns) in self.sides.iter().zip(&mut turns) {
                side.load.warm_up(Pace::Closed, time)?;
                let before: Vec<f64> = side.cost.iter().map(|(_, trees)| cost::cpu(trees)).collect();
                let tally = side.load.run(Pace::Closed, time)?;
                let after = side.cost.iter().map(|(_, trees)| cost::cpu(trees));
                let share = 100_000.0 / (tally.answers.max(1) as f64);
                turns.cost.push(after.zip(before).map(|(after, before)| (after - before) * share).collect());
                turns.rates.push(tally.rate());
                turns.p50.push(tally.quantile(0.5));
                turns.p99.push(tally.quantile(0.99));
            }
        }
        let slowest = turns.iter().map(|t| median(&t.rates)).fold(f64::INFINITY, f64::min);
        let rate = (slowest * OPEN_SHARE).max(plan.of(1.0, 50.0));
        for _ in 0..plan.open_rounds() {
            for (side, turns) in self.sides.iter().zip(&mut turns) {
                side.load.warm_up(Pace::Open(rate), time)?;
                let tally: Tally = side.load.run(Pace::Open(rate), time)?;
                turns.open_p50.push(tally.quantile(0.5));
                turns.open_p99.push(tally.quantile(0.99));
            }
        }
        for (side, turns) in self.sides.iter().zip(&mut turns) {
            turns.memory = cost::memory(&side.memory) as f64 / 1024.0;
        }
        self.show(&turns, rate, report)?;
        let ratio = turns.first().zip(turns.last()).map(|(first, last)| median(&ratios(first, last)));
        let (Some(ratio), Some(last), Some(first)) = (ratio, turns.pop(), turns.into_iter().next()) else {
            return Err("a contest takes two".into());
        };
        Ok(Outcome { ratio, first, last })
    }

    fn show(&self, turns: &[Turns], open_rate: f64, report: &mut Report) -> Result<()> {
        let Some(last) = turns.last() else { return Ok(()) };
        for (n, (side, turns)) in self.sides.iter().zip(turns).enumerate() {
            let is_measure = n + 1 == self.sides.len();
            let ratios = ratios(turns, last);
            let ratio = if is_measure { "1".to_owned() } else { span(&ratios, 2) };
            let parts = side.cost.iter().enumerate().map(|(n, (name, _))| {
                let of_part: Vec<f64> = turns.cost.iter().filter_map(|cost| cost.get(n).copied()).collect();
                format!("{name} {:.2}", median(&of_part))
            });
            let cells = [
                if n == 0 { self.what.clone() } else { String::new() },
                side.name.clone(),
                format!("{:.0}", median(&turns.rates)),
                ratio,
                if is_measure {
                    String::new()
                } else {
                    report.judge(&self.what, &side.name, &side.aim, median(&ratios))
                },
                format!("{:.2} / {:.2}", median(&turns.p50), median(&turns.p99)),
                format!("{:.2} / {:.2} at {open_rate:.0}", median(&turns.open_p50), median(&turns.open_p99)),
                parts.collect::<Vec<_>>().join(", "),
                if side.memory.is_empty() { "–".to_owned() } else { format!("{:.0}", turns.memory) },
            ];
            report.row(&cells)?;
        }
        Ok(())
    }
}

/// Round by round.
fn ratios(of: &Turns, to: &Turns) -> Vec<f64> {
    of.rates.iter().zip(&to.rates).map(|(a, b)| a / b).collect()
}

/// The columns of [`Contest::show`].
pub const COLUMNS: [&str; 9] = [
    "job",
    "side",
    "per second",
    "ratio (min–max)",
    "aim",
    "closed p50 / p99 ms",
    "open p50 / p99 ms at a rate",
    "CPU s per 100k",
    "RSS MiB",
];
