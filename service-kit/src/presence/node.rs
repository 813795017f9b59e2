//! One process's part in presence: keeps its lease, writes its users, hears what other nodes tell it. Runs on a
//! thread of its own, so that busy workers cannot cost the lease.

use super::scripts::{Reported, Scripts, Task};
use super::table::{Findings, Report, Table, UserKey, Waiter};
use super::{ConnId, Event, Holder, Reason};
use crate::error::{Error, Result};
use crate::state::{Notice, State, Status};
use serde::{Deserialize, Serialize};
use shared_models::Platform;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const RENEW: Duration = Duration::from_millis(700);
const RETRY: Duration = Duration::from_millis(100);
/// Users in one call of the script, which blocks Redis for well under a millisecond.
const BATCH: usize = 128;
/// Half of what Redis keeps a value for is time enough for every outage that it survives.
const REWRITTEN: Duration = Duration::from_secs(3600);
/// Everybody hears this one.
const ALL: &str = "n:all";

pub struct Node {
    pub scripts: Scripts,
    pub process: String,
    table: Mutex<Table>,
    started: Instant,
    lease: watch::Sender<Lease>,
    /// There is something to write.
    write: Notify,
    /// The lease has to be looked at now.
    renew: Notify,
    /// No more sockets.
    pub closing: CancellationToken,
    /// All is written; out of the set.
    pub leaving: CancellationToken,
    on_event: Box<dyn Fn(Event) + Send + Sync>,
}

#[derive(Debug, Clone, Default)]
pub struct Lease {
    pub phase: Phase,
    pub name: String,
    run_id: String,
    pub renewed: Option<Instant>,
    /// Leases so far.
    pub number: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    None,
    Rewriting,
    Serving,
    /// For good.
    Left,
}

/// "Close these sockets", as nodes say it to each other.
#[derive(Serialize, Deserialize)]
pub struct Kick {
    pub user: String,
    pub platform: Option<Platform>,
    /// Later ones stay.
    pub up_to: u64,
    pub reason: Reason,
}

/// The channel of a process.
fn channel(process: Option<&str>) -> String {
    process.map_or_else(|| ALL.to_owned(), |p| format!("n:{p}"))
}

impl Node {
    pub fn new(scripts: Scripts, process: String, on_event: Box<dyn Fn(Event) + Send + Sync>) -> Self {
        Self {
            scripts,
            process,
            table: Mutex::default(),
            started: Instant::now(),
            lease: watch::Sender::default(),
            write: Notify::new(),
            renew: Notify::new(),
            closing: CancellationToken::new(),
            leaving: CancellationToken::new(),
            on_event,
        }
    }

    /// Until the node has left.
    pub async fn run(&self, state: &State) {
        tokio::select! {
            () = self.keep_lease() => {}
            () = self.keep_writing(state) => {}
            () = self.keep_listening(state) => {}
        }
    }

    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn lease(&self) -> Lease {
        self.lease.borrow().clone()
    }

    fn phase(&self) -> Phase {
        self.lease.borrow().phase
    }

    pub fn watch_lease(&self) -> watch::Receiver<Lease> {
        self.lease.subscribe()
    }

    pub fn open(&self, user: &UserKey, platform: Platform, conn: ConnId, waiter: Waiter) {
        self.table().open(user, platform, conn, waiter);
        self.write.notify_one();
    }

    pub fn close(&self, user: &UserKey, conn: ConnId) {
        let mut table = self.table();
        if table.close(user, conn) {
            table.changed(user);
            self.write.notify_one();
        }
    }

    pub fn close_all(&self) {
        self.closing.cancel();
        self.table().close_all();
        self.write.notify_one();
    }

    /// To a node, or to all.
    pub async fn send(&self, state: &State, to: Option<&str>, kick: &Kick) -> Result<()> {
        let text = serde_json::to_string(kick).map_err(Error::internal)?;
        state.publish(&channel(to), &text).await
    }

    /// Asks the sockets' owner to close those meant.
    pub fn kick(&self, kick: &Kick) {
        let meant = self.table().up_to(&kick.user, kick.platform, kick.up_to);
        self.tell(meant, kick.reason);
    }

    fn tell(&self, conns: Vec<ConnId>, reason: Reason) {
        for conn in conns {
            (self.on_event)(Event::Close { conn, reason });
        }
    }

    fn second(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    async fn keep_lease(&self) {
        let mut status = self.scripts.link.watch();
        let mut connected_again = false;
        loop {
            let begun = Instant::now();
            let pause = match self.look_after_lease().await {
                Ok(Next::Now) => continue,
                Ok(Next::Later) => {
                    if std::mem::take(&mut connected_again) {
                        // Reports have been refused until now.
                        self.write.notify_one();
                    }
                    RENEW.saturating_sub(begun.elapsed())
                }
                Err(_) => RETRY,
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.renew.notified() => {}
                // A connection that is back is the soonest that a lease can be saved.
                _ = connected(&mut status) => connected_again = true,
                () = self.leaving.cancelled() => {
                    let lease = self.lease();
                    if lease.phase != Phase::None {
                        // Otherwise it runs out.
                        let _ = self.scripts.leave(&lease.name).await;
                    }
                    self.lease.send_modify(|l| l.phase = Phase::Left);
                    return;
                }
            }
        }
    }

    async fn look_after_lease(&self) -> Result<Next> {
        let mut lease = self.lease();
        if lease.phase == Phase::None {
            lease.number += 1;
            lease.name = format!("{}{:03x}", self.process, lease.number & 0xfff);
            // Counted before it is tried: whether it reached Redis may stay unknown.
            self.lease.send_modify(|l| l.number = lease.number);
            // While a node is rewriting nobody knows who is online; one that just started has nothing to rewrite, and
            // who comes meanwhile is not told that the socket is open before it is written.
            let (task, phase) = match self.table().users() {
                0 => (Task::Enter, Phase::Serving),
                _ => (Task::Join, Phase::Rewriting),
            };
            let (run_id, _) = self.scripts.renew(task, &lease.name, "").await?;
            self.table().rewrite_all(&lease.name);
            (lease.phase, lease.run_id, lease.renewed) = (phase, run_id, Some(Instant::now()));
            self.lease.send_replace(lease);
            self.write.notify_one();
            return Ok(Next::Now);
        }
        let written = lease.phase == Phase::Rewriting && self.table().rewriting() == 0;
        let task = if written { Task::Serve } else { Task::Renew };
        let (_, unbroken) = self.scripts.renew(task, &lease.name, &lease.run_id).await?;
        if !unbroken {
            log::info!("presence: lease {} is broken, writing all users again", lease.name);
            self.lease.send_modify(|l| l.phase = Phase::None);
            return Ok(Next::Now);
        }
        self.lease.send_modify(|l| {
            l.renewed = Some(Instant::now());
            if written {
                l.phase = Phase::Serving;
            }
        });
        Ok(Next::Later)
    }

    async fn keep_writing(&self, state: &State) {
        let mut minute = interval(Duration::from_secs(60));
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.write.notified() => {}
                _ = minute.tick() => {
                    let old = self.second().saturating_sub(REWRITTEN.as_secs() as u32);
                    self.table().write_before(old);
                }
            }
            while !self.write_all(state).await {
                // Joining again wakes the writer, an outage does not.
                tokio::select! {
                    () = self.write.notified() => {}
                    () = sleep(RETRY) => {}
                }
            }
        }
    }

    /// Whether all that was due got through.
    async fn write_all(&self, state: &State) -> bool {
        loop {
            let (lease, reports) = {
                let mut table = self.table();
                (table.lease().to_owned(), table.next_reports(BATCH))
            };
            if reports.is_empty() {
                return true;
            }
            if !self.write_some(state, &lease, reports).await {
                return false;
            }
            if self.phase() == Phase::Rewriting && self.table().rewriting() == 0 {
                self.renew.notify_one();
            }
        }
    }

    async fn write_some(&self, state: &State, lease: &str, reports: Vec<Report>) -> bool {
        let outcome = match self.phase() {
            Phase::None | Phase::Left => Ok(None),
            Phase::Rewriting | Phase::Serving => self.scripts.report(lease, &reports).await,
        };
        let Some(findings) = self.take_in(lease, reports, outcome) else { return false };
        self.tell(findings.replaced, Reason::Replaced);
        for (user, Holder { node, platform, order }) in findings.earlier {
            let user = user.to_string();
            let kick = Kick { user, platform: Some(platform), up_to: order, reason: Reason::Replaced };
            // If this is lost with the connection, the gap makes both nodes look again.
            let _ = self.send(state, Some(&node), &kick).await;
        }
        true
    }

    fn take_in(&self, lease: &str, reports: Vec<Report>, outcome: Result<Option<Vec<Reported>>>) -> Option<Findings> {
        let mut table = self.table();
        match outcome {
            // What was written under a former lease is worth nothing.
            Ok(Some(outcomes)) if table.lease() == lease => {
                let second = self.second();
                let mut findings = Findings::default();
                for (report, outcome) in reports.iter().zip(outcomes) {
                    table.reported(report, outcome, &self.process, second, &mut findings);
                }
                Some(findings)
            }
            outcome => {
                table.failed(reports);
                if outcome.is_ok() {
                    self.renew.notify_one();
                }
                None
            }
        }
    }

    async fn keep_listening(&self, state: &State) {
        let mut mine = state.subscribe(&channel(Some(&self.process))).await;
        let mut all = state.subscribe(&channel(None)).await;
        loop {
            let notice = tokio::select! {
                notice = mine.next() => notice,
                notice = all.next() => notice,
            };
            match notice {
                Some(Notice::Message(text)) => match serde_json::from_str(&text) {
                    Ok(kick) => self.kick(&kick),
                    Err(e) => log::warn!("presence: unreadable notice: {e}"),
                },
                Some(Notice::Gap) => {
                    // A later holder may have been announced: writing finds it out.
                    self.table().write_before(u32::MAX);
                    self.write.notify_one();
                    (self.on_event)(Event::Missed);
                }
                None => return,
            }
        }
    }
}

enum Next {
    Now,
    Later,
}

/// Waits for the next new connection.
async fn connected(status: &mut watch::Receiver<Status>) {
    while status.changed().await.is_ok() {
        if matches!(*status.borrow_and_update(), Status::Up(_)) {
            return;
        }
    }
    std::future::pending().await
}
