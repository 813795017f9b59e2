//! Who is online on which platform (design §4, contract §2): each process reports its own sockets, every process
//! can ask about all.
//!
//! Knows no WebSocket and no token. Whoever accepts a socket tells [`Presence::open`] and, whatever happens then,
//! [`Presence::close`]; he closes a socket when an [`Event`] says so. With the state store in memory the one process
//! knows everything and nothing is ever uncertain.

mod alone;
mod node;
mod platforms;
mod scripts;
mod table;
mod view;

use crate::error::{Code, Error, Result};
use crate::state::State;
use alone::Alone;
use node::{Kick, Node, Phase};
pub use platforms::Platforms;
use scripts::Scripts;
use serde::{Deserialize, Serialize};
use shared_models::{AppId, Platform, Uid};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Table, UserKey};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use view::View;

/// How long a new socket waits to be written.
const OPENING: Duration = Duration::from_secs(1);
/// How long a node that leaves tries to write that its sockets are gone.
const LEAVING: Duration = Duration::from_secs(5);
/// How long it then tries to take itself out.
const LEFT: Duration = Duration::from_secs(1);

/// Names a socket within the process; the caller's choice, never used twice.
pub type ConnId = u64;

/// A socket stands where everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Greater than that of every earlier socket of the user.
    pub order: u64,
    /// Who holds the same platform of the user and is to make room: mostly nobody, mostly not more than one.
    pub earlier: Vec<Holder>,
}

/// Who holds a platform of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// [`Presence::node_id`] of its process.
    pub node: String,
    pub platform: Platform,
    pub order: u64,
}

/// Why a socket is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A later socket of the same user and platform.
    Replaced,
    LoggedOut,
}

/// What the owner of the sockets has to know. May be told more than once, and for sockets that are closed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Close {
        conn: ConnId,
        reason: Reason,
    },
    /// Kicks may have been missed. Replaced sockets are found out by themselves; log-outs are not: look at the tokens.
    Missed,
}

/// Presence at one moment.
#[derive(Debug, Clone, Default)]
pub struct PresenceStats {
    pub users: usize,
    pub sockets: usize,
    /// In the set of live nodes, all users written.
    pub serving: bool,
    /// Users that the present lease has yet to write.
    pub rewriting: usize,
    /// Since the lease was renewed.
    pub lease_age: Option<Duration>,
    /// Leases so far: more than one tells of outages.
    pub leases: u64,
    /// Questions that had to be answered with "unknown".
    pub unknown: u64,
}

/// This process's presence. Cheap to clone, usable from every runtime; dropping the last clone without
/// [`drain`](Self::drain) is a crash to the others.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    kind: Kind,
    stop: CancellationToken,
}

enum Kind {
    Shared { node: Arc<Node>, view: View, state: State },
    Alone(Alone),
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Presence {
    /// Starts this process's node. `on_event` is called from the node's thread and must not block.
    pub fn start(state: &State, on_event: impl Fn(Event) + Send + Sync + 'static) -> std::io::Result<Self> {
        let on_event: Box<dyn Fn(Event) + Send + Sync> = Box::new(on_event);
        let stop = CancellationToken::new();
        let Some((link, prefix)) = state.link() else {
            let kind = Kind::Alone(Alone::new(on_event));
            return Ok(Self(Arc::new(Inner { kind, stop })));
        };
        let scripts = Scripts::new(link, prefix);
        let process = crate::random::hex(scripts::PROCESS_DIGITS / 2);
        let node = Arc::new(Node::new(scripts.clone(), process, on_event));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (running, stopped, heard) = (node.clone(), stop.clone(), state.clone());
        std::thread::Builder::new().name("kith-presence".into()).spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(running.run(&heard)));
        })?;
        let kind = Kind::Shared { node, view: View::new(scripts), state: state.clone() };
        Ok(Self(Arc::new(Inner { kind, stop })))
    }

    /// Names this process among the holders.
    pub fn node_id(&self) -> &str {
        match &self.0.kind {
            Kind::Shared { node, .. } => &node.process,
            Kind::Alone(_) => alone::NODE,
        }
    }

    /// Adds a socket and answers when others can see it; unreachable otherwise, with nothing left behind. If the
    /// caller is gone before the answer, the socket is taken out again.
    pub async fn open(&self, app: &AppId, uid: &Uid, platform: Platform, conn: ConnId) -> Result<Opened> {
        let user = user_key(app, uid);
        let (node, waiting) = match &self.0.kind {
            Kind::Alone(alone) => return Ok(alone.open(&user, platform, conn)),
            Kind::Shared { node, .. } => {
                if node.closing.is_cancelled() || node.scripts.link.is_away() {
                    return Err(unreachable("no connection to Redis, or leaving"));
                }
                let (waiter, waiting) = oneshot::channel();
                node.open(&user, platform, conn, waiter);
                (node, waiting)
            }
        };
        let mut guard = Withdraw { node, user: &user, conn, keep: false };
        let opened = match tokio::time::timeout(OPENING, waiting).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(e)) => Err(unreachable(e)),
            Err(e) => Err(unreachable(e)),
        };
        guard.keep = opened.is_ok();
        opened
    }

    /// Takes a socket out; written as soon as Redis is there.
    pub fn close(&self, app: &AppId, uid: &Uid, conn: ConnId) {
        let user = user_key(app, uid);
        match &self.0.kind {
            Kind::Shared { node, .. } => node.close(&user, conn),
            Kind::Alone(alone) => alone.lock().0.close_here(&user, conn),
        }
    }

    /// The platforms of each user, in the order asked for. Unreachable where that cannot be known, never "offline"
    /// for it.
    pub async fn online(&self, app: &AppId, uids: &[Uid]) -> Result<Vec<Platforms>> {
        let users = uids.iter().map(|uid| user_key(app, uid));
        match &self.0.kind {
            Kind::Alone(alone) => {
                let table = alone.lock();
                Ok(users.map(|user| table.0.platforms(&user)).collect())
            }
            Kind::Shared { node, view, .. } => {
                // Whose own lease is in doubt had better not judge those of others.
                let lease = node.lease();
                let renewed = lease.renewed.is_some_and(|r| r.elapsed() < scripts::LEASE);
                if lease.phase != Phase::Left && !(lease.phase == Phase::Serving && renewed) {
                    return view.refuse("this node has no lease");
                }
                view.online(&users.collect::<Vec<_>>()).await
            }
        }
    }

    /// Has the holder's socket closed, wherever it is, and earlier ones of that node with it. Later ones stay.
    pub async fn kick(&self, app: &AppId, uid: &Uid, holder: &Holder, reason: Reason) -> Result<()> {
        let user = user_key(app, uid).to_string();
        let kick = Kick { user, platform: Some(holder.platform), up_to: holder.order, reason };
        self.send(Some(&holder.node), &kick).await
    }

    /// Has the user's sockets closed on every node: those of one platform, or all.
    pub async fn kick_all(&self, app: &AppId, uid: &Uid, platform: Option<Platform>, reason: Reason) -> Result<()> {
        let user = user_key(app, uid).to_string();
        self.send(None, &Kick { user, platform, up_to: u64::MAX, reason }).await
    }

    /// Whether other nodes could be told anything now, as far as is known.
    pub fn reaches_others(&self) -> bool {
        match &self.0.kind {
            Kind::Shared { node, .. } => !node.scripts.link.is_away(),
            Kind::Alone(_) => true,
        }
    }

    async fn send(&self, to: Option<&str>, kick: &Kick) -> Result<()> {
        match &self.0.kind {
            Kind::Alone(alone) => {
                alone.kick(kick);
                Ok(())
            }
            Kind::Shared { node, state, .. } => {
                // Here at once, even with Redis away.
                if to.is_none_or(|to| to == node.process) {
                    node.kick(kick);
                }
                if to.is_some_and(|to| to == node.process) {
                    return Ok(());
                }
                node.send(state, to, kick).await
            }
        }
    }

    /// [`drain`](Self::drain) takes no longer.
    pub const DRAIN: Duration = LEAVING.saturating_add(LEFT);

    /// Leaves cleanly: no socket of this node is online any more, none can be opened.
    pub async fn drain(&self) {
        let node = match &self.0.kind {
            Kind::Shared { node, .. } => node,
            Kind::Alone(alone) => return alone.lock().0 = Table::default(),
        };
        let start = Instant::now();
        node.close_all();
        while node.table().users() > 0 && start.elapsed() < LEAVING {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node.leaving.cancel();
        let _ = tokio::time::timeout(LEFT, node.watch_lease().wait_for(|lease| lease.phase == Phase::Left)).await;
    }

    pub fn stats(&self) -> PresenceStats {
        match &self.0.kind {
            Kind::Alone(alone) => {
                let table = alone.lock();
                let (users, sockets) = (table.0.users(), table.0.sockets());
                PresenceStats { users, sockets, serving: true, ..PresenceStats::default() }
            }
            Kind::Shared { node, view, .. } => {
                let lease = node.lease();
                let table = node.table();
                PresenceStats {
                    users: table.users(),
                    sockets: table.sockets(),
                    serving: lease.phase == Phase::Serving,
                    rewriting: table.rewriting(),
                    lease_age: lease.renewed.map(|r| r.elapsed()),
                    leases: lease.number,
                    unknown: view.unknown(),
                }
            }
        }
    }
}

/// Takes a socket out that nobody waits for any more.
struct Withdraw<'a> {
    node: &'a Node,
    user: &'a UserKey,
    conn: ConnId,
    keep: bool,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.node.close(self.user, self.conn);
        }
    }
}

fn unreachable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::from(Code::Unreachable).because(why)
}

/// An app id holds no colon.
fn user_key(app: &AppId, uid: &Uid) -> UserKey {
    [app.as_str(), ":", uid.as_str()].concat().into()
}
