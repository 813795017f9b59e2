//! The store's operations in Redis commands and scripts.

use super::channels::{Channels, Subscription};
use super::link::{Again, Link, Live, Status};
use super::stats::StateStats;
use super::{MAX_EVENTS, REVISION, Swapped, Terms, millis, too_late};
use crate::error::Result;
use redis::{IntoConnectionInfo, ProtocolVersion, Script, cmd};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

pub(super) struct RedisStore {
    link: Link,
    channels: Arc<Channels>,
    prefix: String,
}

/// KEYS: the key. ARGV: new value, expiry in ms, and the value expected unless nothing is. Answers 1, or what it
/// found.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local found = redis.call('GET', KEYS[1])
        if found == (ARGV[3] or false) then
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
            return 1
        end
        return {found}",
    )
});

/// KEYS: the copies'. ARGV: since when they are true, within what time they may be put and how long they last after
/// that (ms, the first by the server's clock), 1 to put them over others, then the copies. Answers 0 where it is too
/// late: the server was frozen while the command lay in it.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    let revision = format!("^{REVISION}(%d+)");
    Script::new(&format!(
        "local t = redis.call('TIME')
        local age = t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[1]
        if age > tonumber(ARGV[2]) then return 0 end
        -- Less than nothing if the clock was set back meanwhile.
        local life = ARGV[3] - math.max(age, 0)
        local function revision(copy) return tonumber(string.match(copy, '{revision}') or 0) end
        for i, key in ipairs(KEYS) do
            local copy = ARGV[i + 4]
            if ARGV[4] == '0' then
                redis.call('SET', key, copy, 'NX', 'PX', life)
            else
                local found = redis.call('GET', key)
                if not found or revision(found) <= revision(copy) then redis.call('SET', key, copy, 'PX', life) end
            end
        end
        return 1"
    ))
});

/// KEYS: one per counter. ARGV: window in µs, most events to keep, name of the event. By the server's time, so that
/// the callers' clocks do not matter; the name makes a repeated call one event.
static RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
        local now = t[1] * 1000000 + t[2]
        for _, key in ipairs(KEYS) do
            redis.call('ZADD', key, now, ARGV[3])
            redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ARGV[1])
            redis.call('ZREMRANGEBYRANK', key, 0, -1 - ARGV[2])
            redis.call('PEXPIRE', key, math.ceil(ARGV[1] / 1000) + 1)
        end",
    )
});

/// KEYS: one per counter. ARGV: window in µs.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
        local since = string.format('(%.0f', t[1] * 1000000 + t[2] - ARGV[1])
        local counts = {}
        for i, key in ipairs(KEYS) do counts[i] = redis.call('ZCOUNT', key, since, '+inf') end
        return counts",
    )
});

impl RedisStore {
    pub async fn open(url: &str, prefix: &str) -> Result<Self, String> {
        let info = url.into_connection_info().map_err(|e| format!("state.url: {e}"))?;
        // Notices come over the same connection as answers, which takes the newer protocol (Redis 6).
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let channels = Arc::new(Channels::default());
        let link =
            Link::start(info.set_redis_settings(settings), channels.clone()).map_err(|e| format!("state.url: {e}"))?;
        link.settled().await;
        Ok(Self { link, channels, prefix: prefix.to_owned() })
    }

    pub fn link(&self) -> Link {
        self.link.clone()
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn stats(&self) -> StateStats {
        self.link.counters().snapshot(self.link.live().is_some())
    }

    fn key(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    async fn run<T: redis::FromRedisValue>(&self, again: Again, command: &redis::Cmd) -> Result<T> {
        self.link.run(again, async |mut live| command.query_async(&mut live.connection).await).await
    }

    async fn run_script<T: redis::FromRedisValue>(
        &self,
        again: Again,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T> {
        self.link.run(again, async |mut live| script.invoke_async(&mut live.connection).await).await
    }

    pub async fn get(&self, key: &str) -> Result<Option<String>> {
        self.run(Again::Yes, cmd("GET").arg(self.key(key))).await
    }

    pub async fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<String>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = cmd("MGET");
        let mut buffer = self.prefix.clone();
        for key in keys {
            buffer.truncate(self.prefix.len());
            buffer.push_str(key.as_ref());
            get.arg(&buffer);
        }
        self.run(Again::Yes, &get).await
    }

    pub async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<()> {
        self.run(Again::Yes, cmd("SET").arg(self.key(key)).arg(value).arg("PX").arg(millis(ttl))).await
    }

    pub async fn set_new(&self, key: &str, value: &str, ttl: Duration) -> Result<bool> {
        let mut set = cmd("SET");
        set.arg(self.key(key)).arg(value).arg("NX").arg("PX").arg(millis(ttl));
        Ok(self.run::<Option<String>>(Again::No, &set).await?.is_some())
    }

    pub async fn put_copies<K: AsRef<str>, V: AsRef<str>>(
        &self,
        copies: &[(K, V)],
        as_of: Instant,
        terms: Terms,
    ) -> Result<()> {
        if copies.is_empty() {
            return Ok(());
        }
        let put = async |mut live: Live| {
            let mut script = PUT.arg(live.clock.at(as_of));
            script.arg(millis(terms.within)).arg(millis(terms.life)).arg(u8::from(terms.over));
            for (key, copy) in copies {
                script.key(self.key(key.as_ref())).arg(copy.as_ref());
            }
            script.invoke_async::<bool>(&mut live.connection).await
        };
        let in_time = self.link.run(Again::Yes, put).await?;
        if in_time { Ok(()) } else { Err(too_late()) }
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        self.run(Again::Yes, cmd("DEL").arg(self.key(key))).await
    }

    pub async fn swap(&self, key: &str, expected: Option<&str>, new: &str, ttl: Duration) -> Result<Swapped> {
        let mut script = SWAP.key(self.key(key));
        script.arg(new).arg(millis(ttl)).arg(expected);
        let answer: redis::Value = self.run_script(Again::No, &script).await?;
        match answer {
            redis::Value::Int(_) => Ok(Swapped::Done),
            other => {
                let found: Vec<Option<String>> =
                    redis::from_redis_value(other).map_err(crate::error::Error::internal)?;
                Ok(Swapped::Found(found.into_iter().next().flatten()))
            }
        }
    }

    pub async fn record<K: AsRef<str>>(&self, keys: &[K], window: Duration) -> Result<()> {
        let mut script = RECORD.arg(micros(window));
        script.arg(MAX_EVENTS).arg(crate::random::hex(8));
        for key in keys {
            script.key(self.key(key.as_ref()));
        }
        self.run_script(Again::Yes, &script).await
    }

    pub async fn count<K: AsRef<str>>(&self, keys: &[K], window: Duration) -> Result<Vec<u64>> {
        let mut script = COUNT.arg(micros(window));
        for key in keys {
            script.key(self.key(key.as_ref()));
        }
        self.run_script(Again::Yes, &script).await
    }

    pub async fn publish(&self, channel: &str, message: &str) -> Result<()> {
        self.run(Again::Yes, cmd("PUBLISH").arg(self.key(channel)).arg(message)).await
    }

    pub async fn subscribe(&self, channel: &str) -> Subscription {
        let name = self.key(channel);
        let mut changes = self.channels.watch();
        let mut subscription = self.channels.subscribe(&name);
        let confirmed = async {
            let mut status = self.link.watch();
            while !self.channels.is_live(&name) {
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = status.wait_for(|s| matches!(s, Status::Away)) => return false,
                }
            }
            true
        };
        if tokio::time::timeout(Duration::from_millis(900), confirmed).await.unwrap_or(false) {
            subscription.restart();
        }
        subscription
    }

    pub async fn ping(&self) -> Result<()> {
        self.run(Again::Yes, &cmd("PING")).await
    }
}

fn micros(window: Duration) -> u64 {
    u64::try_from(window.as_micros()).unwrap_or(u64::MAX)
}
