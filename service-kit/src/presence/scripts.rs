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

/// A script with the time in ms, and whether the end of a lease makes it alive. Ends further away than any renewal
/// sets them come from before the clock was set back.
fn script(body: &str) -> Script {
    Script::new(&format!(
        "local LEASE, PROCESS = {}, {PROCESS_DIGITS}
        local t = redis.call('TIME')
        local now = t[1] * 1000 + math.floor(t[2] / 1000)
        local function alive(ends) return ends and tonumber(ends) > now and tonumber(ends) <= now + LEASE + 100 end
        local function process(lease) return string.sub(lease, 1, PROCESS) end
        local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
        {body}",
        LEASE.as_millis(),
    ))
}

/// KEYS: nodes, epoch, pulse, fence. ARGV: what to do (join, renew, serve), lease, its run id, generation.
/// Answers the run id and whether the lease is unbroken.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    script(
        "local nodes, epoch, pulse = KEYS[1], KEYS[2], KEYS[3]
        local task, lease, old_run = ARGV[1], ARGV[2], ARGV[3]
        local run = run_id()
        -- Nobody having renewed for so long means that Redis was away rather than the nodes: everybody's lease may
        -- have run out meanwhile, so everybody gets time to report. The same if the clock was set back.
        local known = redis.call('GET', epoch)
        local last = tonumber(redis.call('GET', pulse) or 0)
        if not known or string.sub(known, 1, #run) ~= run or now - last > 2000 or last > now + 1000 then
            redis.call('SET', epoch, run .. ':' .. string.format('%.0f', now))
        end
        redis.call('SET', pulse, now)
        local generation = math.max(tonumber(ARGV[4]), tonumber(redis.call('GET', KEYS[4]) or 0))
        redis.call('SET', KEYS[4], generation, 'PX', 60000)
        redis.call('ZREMRANGEBYSCORE', nodes, '-inf', now - 60000)
        if task == 'join' then
            redis.call('ZADD', nodes, now + LEASE, '~' .. lease)
            return {run, 1}
        end
        local serving = redis.call('ZSCORE', nodes, lease)
        local member = serving and lease or '~' .. lease
        if run ~= old_run or not alive(redis.call('ZSCORE', nodes, member)) then return {run, 0} end
        if task == 'serve' then
            for _, m in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
                if process((string.gsub(m, '~', '', 1))) == process(lease) then redis.call('ZREM', nodes, m) end
            end
            member = lease
        end
        redis.call('ZADD', nodes, now + LEASE, member)
        return {run, 1}",
    )
});

/// KEYS: nodes. ARGV: lease. The node is gone.
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call('ZREM', KEYS[1], ARGV[1], '~' .. ARGV[1])"));

/// KEYS: nodes, fence, then users. ARGV: generation, lease, expiry in s, then for each user the sockets of this process, as
/// `<platform digit><order>;`, order 0 for those that have none yet.
///
/// Replaces the process's part of each value, drops dead nodes, and answers for each user a list of
/// `N<platform><order>;` (order given) and `<what><platform><order>=<lease>;` for who holds the same platform
/// elsewhere: E earlier than a socket that got its order now, R earlier than one that had it, L later. Answers nothing
/// at all if the lease is broken or another connection is in charge.
static REPORT: LazyLock<Script> = LazyLock::new(|| {
    script(
        "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
        local lease = ARGV[2]
        local live = {}
        local nodes = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
        for i = 1, #nodes, 2 do
            if alive(nodes[i + 1]) then live[(string.gsub(nodes[i], '~', '', 1))] = true end
        end
        if not live[lease] then return false end
        local answers = {}
        for i = 3, #KEYS do
            local value, answer, others, free = {}, {}, {}, now
            for entry, node, p, o in string.gmatch(redis.call('GET', KEYS[i]) or '', '((%x+)=(%d)(%d+);)') do
                o = tonumber(o)
                if o >= free then free = o + 1 end
                if process(node) ~= process(lease) and live[node] then
                    value[#value + 1] = entry
                    others[#others + 1] = {node, p, o}
                end
            end
            local spec = ARGV[i + 1]
            for o in string.gmatch(spec, '%d(%d+);') do
                if tonumber(o) >= free then free = tonumber(o) + 1 end
            end
            local mine = {}
            for p, o in string.gmatch(spec, '(%d)(%d+);') do
                o = tonumber(o)
                local new = o == 0
                if new then
                    o = free
                    free = free + 1
                    answer[#answer + 1] = 'N' .. p .. string.format('%.0f', o) .. ';'
                end
                for _, other in ipairs(others) do
                    local later = other[3] > o or other[3] == o and other[1] > lease
                    if other[2] == p then
                        local found = later and 'L' or new and 'E' or 'R'
                        answer[#answer + 1] = found .. p .. string.format('%.0f', other[3]) .. '=' .. other[1] .. ';'
                    end
                end
                if o > (mine[p] or 0) then mine[p] = o end
            end
            for p, o in pairs(mine) do
                value[#value + 1] = lease .. '=' .. p .. string.format('%.0f', o) .. ';'
            end
            if #value == 0 then redis.call('DEL', KEYS[i])
            else redis.call('SET', KEYS[i], table.concat(value), 'EX', ARGV[3]) end
            answers[i - 2] = table.concat(answer)
        end
        return answers",
    )
});

/// KEYS: nodes, epoch, pulse. Answers run id, time, epoch, pulse, and the leases with their ends.
static VIEW: LazyLock<Script> = LazyLock::new(|| {
    script(
        "return {
            run_id(),
            now,
            redis.call('GET', KEYS[2]) or '',
            tonumber(redis.call('GET', KEYS[3]) or 0),
            redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),
        }",
    )
});

/// What a node does with its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Stand in the set as rewriting.
    Join,
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
        for user in users {
            get.arg(self.user_key(user));
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
    fn parse(answer: &str) -> Self {
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
