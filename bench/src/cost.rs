//! What processes cost: CPU time and memory, from /proc.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Linux counts CPU time in these for programs, whatever the kernel's own clock.
const TICKS_A_SECOND: f64 = 100.0;

/// How the names of SQLite's files end.
const SQLITE: [&str; 2] = [".db", ".db-shm"];

/// A process and everything that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree(pub u32);

impl Tree {
    fn members(self) -> BTreeSet<u32> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let parents: BTreeMap<u32, u32> = pids.filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
        let mut members = BTreeSet::from([self.0]);
        loop {
            let before = members.len();
            let children = parents.iter().filter(|(_, parent)| members.contains(parent)).map(|(pid, _)| *pid);
            let children: Vec<u32> = children.collect();
            members.extend(children);
            if members.len() == before {
                return members;
            }
        }
    }

    /// Seconds, those of processes that have ended included.
    fn cpu(self) -> f64 {
        self.members().into_iter().filter_map(stat).map(|s| s.cpu).sum()
    }

    /// KiB.
    fn memory(self) -> u64 {
        self.members().into_iter().filter_map(resident).sum()
    }
}

pub fn cpu(trees: &[Tree]) -> f64 {
    trees.iter().map(|tree| tree.cpu()).sum()
}

/// Resident memory in KiB, databases apart; what processes share counts in each.
pub fn memory(trees: &[Tree]) -> u64 {
    trees.iter().map(|tree| tree.memory()).sum()
}

struct Stat {
    parent: u32,
    cpu: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "pid (name) state parent …", and the name may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // Its own time in user and kernel mode, then that of its ended children.
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, cpu: ticks as f64 / TICKS_A_SECOND })
}

/// Without the pages of SQLite's files: they are the kernel's cache of the disk, mapped.
fn resident(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let (mut sum, mut counts) = (0, true);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Rss:"), Some(size)) if counts => sum += size.parse::<u64>().ok()?,
            (Some(name), _) if name.ends_with(':') => {}
            // The head of the next mapping; it ends with the file's name.
            _ => counts = !SQLITE.iter().any(|end| line.ends_with(end)),
        }
    }
    Some(sum)
}
