//! What is printed: tables in Markdown, row by row, and at the end which aims were missed.

use crate::Result;
use crate::scenario::Aim;
use std::io::{self, Write};

pub struct Report {
    /// Figures of a smoke run are not judged.
    judges: bool,
    missed: Vec<String>,
}

impl Report {
    pub fn new(judges: bool) -> Self {
        Self { judges, missed: Vec::new() }
    }

    pub fn line(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    pub fn title(&self, title: &str) -> Result<()> {
        self.line(&format!("\n## {title}\n"))
    }

    pub fn head(&self, columns: &[&str]) -> Result<()> {
        self.line(&format!("| {} |", columns.join(" | ")))?;
        self.line(&format!("|{}", " --- |".repeat(columns.len())))
    }

    pub fn row<S: AsRef<str>>(&self, cells: &[S]) -> Result<()> {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(&format!("| {} |", cells.join(" | ")))
    }

    /// The aim and whether it was reached.
    pub fn judge(&mut self, what: &str, who: &str, aim: &Aim, value: f64) -> String {
        let (text, reached) = match *aim {
            Aim::None => return String::new(),
            Aim::AtLeast(least) => (format!("≥ {least}"), value >= least),
            Aim::AtMost(most) => (format!("≤ {most}"), value <= most),
        };
        if !self.judges || reached {
            return text;
        }
        self.missed.push(format!("{what}, {who}: {value:.3} instead of {text}"));
        format!("{text} **missed**")
    }

    pub fn end(&self) -> Result<()> {
        if !self.judges {
            return self.line("\nSmoke run: everything ran; no figure means anything.");
        }
        self.line(&format!("\nAims missed: {}", self.missed.len()))?;
        self.missed.iter().try_for_each(|missed| self.line(&format!("- {missed}")))
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// "median (min–max)"
pub fn span(values: &[f64], digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(span(&[0.5, 0.75, 1.0], 2), "0.75 (0.50–1.00)");
    }

    #[test]
    fn only_what_misses_its_aim_is_held_against_it() {
        let mut report = Report::new(true);
        assert_eq!(report.judge("a", "b", &Aim::AtLeast(0.7), 0.7), "≥ 0.7");
        assert_eq!(report.judge("a", "b", &Aim::AtMost(1.2), 1.3), "≤ 1.2 **missed**");
        assert_eq!(report.missed, ["a, b: 1.300 instead of ≤ 1.2"]);
    }
}
