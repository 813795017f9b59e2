//! This process's sockets by user, and which users have yet to be written.

use super::{ConnId, Holder, Opened, Platforms, scripts::Reported};
use crate::error::Result;
use shared_models::Platform;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use tokio::sync::oneshot;

/// `<app>:<uid>`.
pub type UserKey = Arc<str>;

/// Told when the socket stands in Redis.
pub type Waiter = oneshot::Sender<Result<Opened>>;

#[derive(Default)]
pub struct Table {
    users: HashMap<UserKey, User>,
    /// Users whose sockets changed.
    urgent: VecDeque<UserKey>,
    /// Users that are only written again.
    routine: VecDeque<UserKey>,
    /// Whom reports are written under.
    lease: String,
    /// Users that the lease has yet to write.
    rewriting: usize,
    sockets: usize,
}

#[derive(Default)]
struct User {
    /// In the order of their opening.
    sockets: Vec<Socket>,
    due: Due,
    rewrite: bool,
    /// See to it at the next report that replaced sockets go. Not at every report: who opens the later socket needs
    /// time to see to the tokens first.
    check: bool,
    /// Seconds since the start of the process.
    written: u32,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Due {
    #[default]
    No,
    Routine,
    Urgent,
}

struct Socket {
    conn: ConnId,
    platform: Platform,
    /// 0: has none yet.
    order: u64,
    waiter: Option<Waiter>,
}

/// A user on the way to Redis.
pub struct Report {
    pub user: UserKey,
    /// As the script reads it.
    pub sockets: String,
    /// Those named with order 0.
    new: Vec<ConnId>,
    check: bool,
}

/// What reports found out by the way.
#[derive(Default)]
pub struct Findings {
    /// Sockets here that a later one elsewhere has replaced.
    pub replaced: Vec<ConnId>,
    /// Sockets elsewhere that a later one here has replaced.
    pub earlier: Vec<(UserKey, Holder)>,
}

impl Table {
    pub fn open(&mut self, user: &UserKey, platform: Platform, conn: ConnId, waiter: Waiter) {
        let sockets = &mut self.users.entry(user.clone()).or_default().sockets;
        sockets.push(Socket { conn, platform, order: 0, waiter: Some(waiter) });
        self.sockets += 1;
        self.changed(user);
    }

    /// Without Redis: `order` must be the greatest so far.
    pub fn open_here(&mut self, user: &UserKey, platform: Platform, conn: ConnId, order: u64) -> Vec<u64> {
        let sockets = &mut self.users.entry(user.clone()).or_default().sockets;
        let earlier = sockets.iter().filter(|s| s.platform == platform).map(|s| s.order).collect();
        sockets.push(Socket { conn, platform, order, waiter: None });
        self.sockets += 1;
        earlier
    }

    /// Whether it was there.
    pub fn close(&mut self, user: &UserKey, conn: ConnId) -> bool {
        let Some(found) = self.users.get_mut(user) else { return false };
        let before = found.sockets.len();
        found.sockets.retain(|s| s.conn != conn);
        let closed = before - found.sockets.len();
        self.sockets -= closed;
        closed > 0
    }

    /// [`close`](Self::close) without Redis.
    pub fn close_here(&mut self, user: &UserKey, conn: ConnId) {
        if self.close(user, conn) && self.users.get(user).is_some_and(|u| u.sockets.is_empty()) {
            self.users.remove(user);
        }
    }

    pub fn close_all(&mut self) {
        self.sockets = 0;
        let users: Vec<_> = self.users.keys().cloned().collect();
        for user in users {
            if let Some(found) = self.users.get_mut(&user) {
                found.sockets.clear();
            }
            self.changed(&user);
        }
    }

    /// The user has to be written, before all that is routine.
    pub fn changed(&mut self, user: &UserKey) {
        if let Some(found) = self.users.get_mut(user)
            && found.due != Due::Urgent
        {
            found.due = Due::Urgent;
            self.urgent.push_back(user.clone());
        }
    }

    /// A new lease has nobody written.
    pub fn rewrite_all(&mut self, lease: &str) {
        self.lease = lease.to_owned();
        self.rewriting = self.users.len();
        self.users.values_mut().for_each(|u| u.rewrite = true);
        self.write_before(u32::MAX);
    }

    /// Writes again whoever was last written before `second`.
    pub fn write_before(&mut self, second: u32) {
        for (key, user) in self.users.iter_mut().filter(|(_, u)| u.written < second) {
            user.check = true;
            if user.due == Due::No {
                user.due = Due::Routine;
                self.routine.push_back(key.clone());
            }
        }
    }

    /// The next users to write, changed ones first.
    pub fn next_reports(&mut self, most: usize) -> Vec<Report> {
        let mut reports = Vec::new();
        while reports.len() < most {
            let (key, due) = match self.urgent.pop_front() {
                Some(key) => (key, Due::Urgent),
                None => match self.routine.pop_front() {
                    Some(key) => (key, Due::Routine),
                    None => break,
                },
            };
            // Else it was written as a changed one since.
            if let Some(user) = self.users.get_mut(&key).filter(|u| u.due == due) {
                user.due = Due::No;
                reports.push(user.report(key));
            }
        }
        reports
    }

    /// Takes in what became of a report.
    pub fn reported(
        &mut self,
        report: &Report,
        outcome: Reported,
        process: &str,
        second: u32,
        findings: &mut Findings,
    ) {
        let Some(user) = self.users.get_mut(&report.user) else { return };
        user.written = second;
        if std::mem::take(&mut user.rewrite) {
            self.rewriting -= 1;
        }
        for (&conn, &order) in report.new.iter().zip(&outcome.orders) {
            user.give_order(conn, order, &outcome, process);
        }
        if report.check {
            let replaced = |s: &&Socket| {
                s.order > 0 && outcome.later.iter().any(|l| l.platform == s.platform && l.order >= s.order)
            };
            findings.replaced.extend(user.sockets.iter().filter(replaced).map(|s| s.conn));
            findings.earlier.extend(outcome.still.into_iter().map(|h| (report.user.clone(), h)));
        }
        if user.sockets.is_empty() && user.due == Due::No {
            self.users.remove(&report.user);
        }
    }

    /// The report did not get through.
    pub fn failed(&mut self, reports: Vec<Report>) {
        for report in reports {
            let Some(user) = self.users.get_mut(&report.user) else { continue };
            user.check |= report.check;
            if user.due != Due::Urgent {
                user.due = Due::Urgent;
                self.urgent.push_front(report.user);
            }
        }
    }

    /// Sockets that hold the platform (`None`: any) and are no later than `order`.
    pub fn up_to(&self, user: &str, platform: Option<Platform>, order: u64) -> Vec<ConnId> {
        let meant = |s: &&Socket| (1..=order).contains(&s.order) && platform.is_none_or(|p| p == s.platform);
        self.users.get(user).into_iter().flat_map(|u| u.sockets.iter().filter(meant).map(|s| s.conn)).collect()
    }

    pub fn platforms(&self, user: &str) -> Platforms {
        self.users
            .get(user)
            .into_iter()
            .flat_map(|u| &u.sockets)
            .fold(Platforms::NONE, |all, s| all | s.platform.into())
    }

    pub fn lease(&self) -> &str {
        &self.lease
    }

    pub fn users(&self) -> usize {
        self.users.len()
    }

    pub fn sockets(&self) -> usize {
        self.sockets
    }

    pub fn rewriting(&self) -> usize {
        self.rewriting
    }
}

impl User {
    /// Of the sockets that have an order only the latest of each platform is named.
    fn report(&mut self, user: UserKey) -> Report {
        let mut sockets = String::new();
        for platform in Platform::ALL {
            let latest = self.sockets.iter().filter(|s| s.platform == platform).map(|s| s.order).max();
            if let Some(order) = latest.filter(|&o| o > 0) {
                let _ = write!(sockets, "{}{order};", platform.number());
            }
        }
        let mut new = Vec::new();
        for socket in self.sockets.iter().filter(|s| s.order == 0) {
            let _ = write!(sockets, "{}0;", socket.platform.number());
            new.push(socket.conn);
        }
        Report { user, sockets, new, check: std::mem::take(&mut self.check) }
    }

    fn give_order(&mut self, conn: ConnId, order: u64, outcome: &Reported, process: &str) {
        let Some(socket) = self.sockets.iter_mut().find(|s| s.conn == conn) else { return };
        socket.order = order;
        let platform = socket.platform;
        let Some(waiter) = socket.waiter.take() else { return };
        let here = self.sockets.iter().filter(|s| s.platform == platform && s.order > 0 && s.order < order);
        let here = here.map(|s| Holder { node: process.to_owned(), platform, order: s.order });
        let elsewhere = outcome.earlier.iter().filter(|e| e.platform == platform);
        let earlier = here.chain(elsewhere.cloned()).collect();
        // Whoever no longer waits closes the socket himself.
        let _ = waiter.send(Ok(Opened { order, earlier }));
    }
}
