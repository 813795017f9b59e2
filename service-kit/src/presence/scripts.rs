//! What Redis holds of presence, and the scripts that alone touch it.
//!
//! - `nodes`: sorted set of leases by their end in Redis' time (ms); a lease that is rewriting stands there as
//!   `~lease`. A lease is named by its process (10 hex digits) and a number (3).
//! - `epoch`: run id of the server and the time since when it has had all there is; `pulse`: the latest renewal of
//!   any node.
//! - `p:<app>:<uid>`: where the user's sockets are, `<lease>=<platform digit><order>;` for each platform and lease.
//!   Orders rise with every socket of the user; whose order is greater opened later.
//! - `fence:<process>`: generation of the connection that the process writes over. What it wrote to an earlier one
//!   may still be on the way and must not overwrite what is newer.

use super::table::{Report, UserKey};
use super::{Holder, Platforms};
use crate::error::{Error, Result};
use crate::state::{Again, Link, Live};
use redis::Script;
use shared_models::Platform;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

/// Without renewal a node is dead after this long.
pub const LEASE: Duration = Duration::from_millis(3500);
/// A user's value lives this long without being written.
const EXPIRY: Duration = Duration::from_secs(2 * 3600);
pub const PROCESS_DIGITS: usize = 10;

fn script(body: &str) -> Script {
    let lease = LEASE.as_millis();
    let common = include_str!("lua/common.lua");
    Script::new(&format!("local LEASE, PROCESS = {lease}, {PROCESS_DIGITS}\n{common}{body}"))
}

static RENEW: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/renew.lua")));

/// KEYS: nodes. ARGV: lease. The node is gone.
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call('ZREM', KEYS[1], ARGV[1], '~' .. ARGV[1])"));

static REPORT: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/report.lua")));

static VIEW: LazyLock<Script> = LazyLock::new(|| script(include_str!("lua/view.lua")));

/// What a node does with its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Stand in the set as rewriting.
    Join,
    /// Join and serve at once, as whoever has no users to write.
    Enter,
    Renew,
    /// All users are written: stand in the set, instead of all former leases of the process.
    Serve,
}

/// What came of reporting one user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Orders of the new sockets, in the order in which they were named.
    pub orders: Vec<u64>,
    /// Than new sockets.
    pub earlier: Vec<Holder>,
    /// Than sockets that had an order.
    pub still: Vec<Holder>,
    /// The same.
    pub later: Vec<Holder>,
}

/// The leases at one moment.
pub struct Nodes {
    pub run_id: String,
    pub now: i64,
    pub epoch: String,
    pub pulse: i64,
    /// With `~` for those that are rewriting.
    pub ends: HashMap<String, i64>,
}

/// Redis as presence uses it.
#[derive(Clone)]
pub struct Scripts {
    pub link: Link,
    prefix: String,
}

impl Scripts {
    pub fn new(link: Link, prefix: &str) -> Self {
        Self { link, prefix: prefix.to_owned() }
    }

    fn key(&self, name: &str) -> String {
        [&self.prefix, name].concat()
    }

    fn user_key(&self, user: &str) -> String {
        [&self.prefix, "p:", user].concat()
    }

    fn fence(&self, lease: &str) -> String {
        [&self.prefix, "fence:", lease.get(..PROCESS_DIGITS).unwrap_or(lease)].concat()
    }

    /// The run id, and whether the lease is unbroken.
    pub async fn renew(&self, task: Task, lease: &str, run_id: &str) -> Result<(String, bool)> {
        let task = match task {
            Task::Join => "join",
            Task::Enter => "enter",
            Task::Renew => "renew",
            Task::Serve => "serve",
        };
        self.link
            .run(Again::Yes, async |mut live| {
                let mut script = RENEW.key(self.key("nodes"));
                script.key(self.key("epoch")).key(self.key("pulse")).key(self.fence(lease));
                script.arg(task).arg(lease).arg(run_id).arg(live.generation);
                script.invoke_async(&mut live.connection).await
            })
            .await
    }

    pub async fn leave(&self, lease: &str) -> Result<()> {
        let mut script = LEAVE.key(self.key("nodes"));
        script.arg(lease);
        self.link.run(Again::Yes, async |mut live| script.invoke_async(&mut live.connection).await).await
    }

    /// Users with their sockets as the script reads them; `None` if the lease has to be looked at first.
    pub async fn report(&self, lease: &str, users: &[Report]) -> Result<Option<Vec<Reported>>> {
        let report = async |mut live: Live| {
            let mut script = REPORT.key(self.key("nodes"));
            script.key(self.fence(lease)).arg(live.generation).arg(lease).arg(EXPIRY.as_secs());
            for user in users {
                script.key(self.user_key(&user.user)).arg(&user.sockets);
            }
            script.invoke_async::<Option<Vec<String>>>(&mut live.connection).await
        };
        let answers = self.link.run(Again::Yes, report).await?;
        Ok(answers.map(|a| a.iter().map(|a| Reported::parse(a)).collect()))
    }

    /// With the generation of the connection that it came over.
    pub async fn view(&self) -> Result<(u64, Nodes)> {
        let mut script = VIEW.key(self.key("nodes"));
        script.key(self.key("epoch")).key(self.key("pulse"));
        let fetch = async |mut live: Live| {
            let (run_id, now, epoch, pulse, ends): (String, i64, String, i64, Vec<(String, String)>) =
                script.invoke_async(&mut live.connection).await?;
            Ok((live.generation, run_id, now, epoch, pulse, ends))
        };
        let (generation, run_id, now, epoch, pulse, ends) = self.link.run(Again::Yes, fetch).await?;
        let end = |(lease, end): (String, String)| Some((lease, end.parse::<f64>().ok()? as i64));
        Ok((generation, Nodes { run_id, now, epoch, pulse, ends: ends.into_iter().filter_map(end).collect() }))
    }

    /// The connection's generation, the epoch and the users' values, all of one moment.
    pub async fn values(&self, users: &[UserKey]) -> Result<(u64, Option<String>, Vec<Option<String>>)> {
        let mut get = redis::cmd("MGET");
        get.arg(self.key("epoch"));
        let mut key = self.user_key("");
        let common = key.len();
        for user in users {
            key.truncate(common);
            key.push_str(user);
            get.arg(&key);
        }
        let fetch = async |mut live: Live| {
            let values: Vec<Option<String>> = get.query_async(&mut live.connection).await?;
            Ok((live.generation, values))
        };
        let (generation, values) = self.link.run(Again::Yes, fetch).await?;
        let mut values = values.into_iter();
        let epoch = values.next().ok_or_else(|| Error::internal("MGET without an answer"))?;
        Ok((generation, epoch, values.collect()))
    }
}

impl Reported {
    pub fn parse(answer: &str) -> Self {
        let mut reported = Self::default();
        for part in answer.split_terminator(';') {
            let (Some(kind), Some(platform)) = (part.get(..1), part.get(1..2).and_then(platform)) else { continue };
            let (order, lease) = part[2..].split_once('=').unwrap_or((&part[2..], ""));
            let Ok(order) = order.parse() else { continue };
            let node = lease.get(..PROCESS_DIGITS).unwrap_or_default().to_owned();
            match kind {
                "N" => reported.orders.push(order),
                "E" => reported.earlier.push(Holder { node, platform, order }),
                "R" => reported.still.push(Holder { node, platform, order }),
                "L" => reported.later.push(Holder { node, platform, order }),
                _ => {}
            }
        }
        reported
    }
}

fn platform(digit: &str) -> Option<Platform> {
    Platform::from_number(digit.parse().ok()?)
}

/// Who stands in a user's value.
pub fn entries(value: &str) -> impl Iterator<Item = (&str, Platforms)> {
    value.split_terminator(';').filter_map(|entry| {
        let (lease, rest) = entry.split_once('=')?;
        Some((lease, platform(rest.get(..1)?)?.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_script_are_read() {
        let reported = Reported::parse("N1200;E1100=00000000aa001;R1150=00000000aa001;L2300=00000000bb00c;");
        let holder = |platform, order, node: &str| Holder { node: node.into(), platform, order };
        assert_eq!(
            reported,
            Reported {
                orders: vec![200],
                earlier: vec![holder(Platform::Ios, 100, "00000000aa")],
                still: vec![holder(Platform::Ios, 150, "00000000aa")],
                later: vec![holder(Platform::Android, 300, "00000000bb")],
            }
        );
        assert_eq!(Reported::parse(""), Reported::default());
    }
}
