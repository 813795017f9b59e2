//! What runs on the connection's thread: connects, watches, subscribes.

use super::channels::Channels;
use super::link::{ANSWER, Live, ServerClock, Shared, Status};
use crate::error::Result;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, sleep, timeout};

/// Between attempts to connect.
const RETRY: Duration = Duration::from_millis(100);
/// Between looks at an idle connection.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Commands that may wait to be written; callers wait beyond that, within their time.
const QUEUE: usize = 1024;

pub(super) struct Keeper {
    pub shared: Arc<Shared>,
    pub host: String,
    pub port: u16,
    pub settings: redis::RedisConnectionInfo,
}

impl Keeper {
    /// Until it is dropped.
    pub async fn run(self) {
        let mut generation = 0;
        let mut complained = false;
        loop {
            generation += 1;
            let Err(end) = self.serve(generation, &mut complained).await;
            let was_up = matches!(*self.shared.status.borrow(), Status::Up(_));
            let renewing = was_up && !end.is::<Elapsed>() && !end.is::<Silent>();
            self.shared.status.send_replace(if renewing { Status::Renewing } else { Status::Away });
            self.shared.channels.all_lost();
            if renewing {
                continue;
            }
            if !std::mem::replace(&mut complained, true) {
                log::warn!("Redis at {}:{} is away: {end}", self.host, self.port);
            }
            sleep(RETRY).await;
        }
    }

    /// Connects and stays until the connection dies.
    async fn serve(&self, generation: u64, complained: &mut bool) -> Result<std::convert::Infallible, Failed> {
        let (mut connection, mut driver) = timeout(ANSWER, self.connect()).await??;
        // A server that still loads its data says so here.
        timeout(ANSWER, redis::cmd("PING").exec_async(&mut connection)).await??;
        let audience = self.shared.channels.watch();
        let mut suspect = self.shared.suspect.subscribe();
        self.follow_audience(&mut connection).await?;
        let clock = Arc::new(ServerClock::new(time(&mut connection).await?));
        let live = Live { connection: connection.clone(), generation, clock: clock.clone() };
        self.shared.status.send_replace(Status::Up(live));
        self.shared.counters.connected();
        if std::mem::take(complained) {
            log::info!("Redis at {}:{} is back", self.host, self.port);
        }
        tokio::select! {
            _ = &mut driver.0 => Err("connection closed".into()),
            _ = suspect.wait_for(|&s| s >= generation) => Err(Silent.into()),
            end = self.tend(&mut connection, audience, &clock) => end,
        }
    }

    /// Sees whether an idle connection still works, what time it is there, and to the subscriptions.
    async fn tend(
        &self,
        connection: &mut MultiplexedConnection,
        mut audience: watch::Receiver<u64>,
        clock: &ServerClock,
    ) -> Result<std::convert::Infallible, Failed> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = heartbeat.tick() => clock.set(time(connection).await?),
                changed = audience.changed() => changed?,
            }
            self.follow_audience(connection).await?;
        }
    }

    /// The driver's end is the connection's; dropping it fails at once whatever still waits for an answer.
    async fn connect(&self) -> Result<(MultiplexedConnection, DropAborts), Failed> {
        let stream = tokio::net::TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let channels = self.shared.channels.clone();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push| deliver(&channels, push));
        let (connection, driver) = MultiplexedConnection::new_with_config(&self.settings, stream, config).await?;
        Ok((connection, DropAborts(tokio::spawn(driver))))
    }

    /// Subscribes and leaves what has to be, one after the other, so that the last wish wins.
    async fn follow_audience(&self, connection: &mut MultiplexedConnection) -> Result<(), Failed> {
        let (wanted, deserted) = self.shared.channels.pending();
        for name in deserted {
            timeout(ANSWER, connection.unsubscribe(&name)).await??;
        }
        for name in wanted {
            timeout(ANSWER, connection.subscribe(&name)).await??;
            self.shared.channels.confirmed(&name);
        }
        Ok(())
    }
}

/// The server's clock, in ms since 1970.
async fn time(connection: &mut MultiplexedConnection) -> Result<i64, Failed> {
    let (seconds, micros): (i64, i64) = timeout(ANSWER, redis::cmd("TIME").query_async(connection)).await??;
    Ok(seconds * 1000 + micros / 1000)
}

/// Why there is no connection, for the log.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// An operation got no answer in time.
#[derive(Debug)]
struct Silent;

impl std::error::Error for Silent {}

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer to an operation")
    }
}

struct DropAborts(tokio::task::JoinHandle<()>);

impl Drop for DropAborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn deliver(channels: &Channels, push: PushInfo) -> Result<(), redis::aio::SendError> {
    if push.kind == PushKind::Message
        && let Some(message) = redis::Msg::from_push_info(push)
        && let Ok(text) = message.get_payload::<String>()
    {
        channels.deliver(message.get_channel_name(), text);
    }
    Ok(())
}
