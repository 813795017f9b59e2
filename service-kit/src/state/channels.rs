//! Who listens to which channel in this process. Both stores deliver through here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Notices a subscriber may be behind before it misses some.
const BACKLOG: usize = 256;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Message(String),
    /// Something may have been missed: the connection was away, or the subscriber too slow.
    Gap,
}

/// A place in the audience of a channel, given up when dropped.
pub struct Subscription {
    notices: broadcast::Receiver<Notice>,
    channels: Arc<Channels>,
}

impl Subscription {
    /// From now on, without what has gathered so far.
    pub(super) fn restart(&mut self) {
        self.notices = self.notices.resubscribe();
    }

    /// The next notice; `None` once the state store is gone.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.notices.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Gap),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channels.changed();
    }
}

#[derive(Default)]
struct Channel {
    notices: Option<broadcast::Sender<Notice>>,
    /// Redis has confirmed it on the present connection.
    live: bool,
}

pub(super) struct Channels {
    by_name: Mutex<HashMap<String, Channel>>,
    /// Counts changes of the audience and of liveness.
    version: watch::Sender<u64>,
}

impl Default for Channels {
    fn default() -> Self {
        Self { by_name: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Channels {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.send_modify(|v| *v = v.wrapping_add(1));
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub fn subscribe(self: &Arc<Self>, name: &str) -> Subscription {
        let notices = {
            let mut by_name = self.lock();
            // In memory nobody else takes the deserted ones out.
            if by_name.len() >= 64 && by_name.len().is_power_of_two() {
                by_name.retain(|_, c| c.live || c.has_audience());
            }
            let channel = by_name.entry(name.to_owned()).or_default();
            channel.notices.get_or_insert_with(|| broadcast::Sender::new(BACKLOG)).subscribe()
        };
        self.changed();
        Subscription { notices, channels: self.clone() }
    }

    pub fn deliver(&self, name: &str, message: String) {
        if let Some(notices) = self.lock().get(name).and_then(|c| c.notices.as_ref()) {
            // Fails only where nobody listens any more.
            let _ = notices.send(Notice::Message(message));
        }
    }

    pub fn is_live(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|c| c.live)
    }

    /// Channels to subscribe on the present connection, and those to leave. The latter no longer count as live: who
    /// comes meanwhile waits until they are subscribed again.
    pub fn pending(&self) -> (Vec<String>, Vec<String>) {
        let mut by_name = self.lock();
        by_name.retain(|_, c| c.live || c.has_audience());
        let wanted = by_name.iter().filter(|(_, c)| !c.live).map(|(name, _)| name.clone()).collect();
        let mut deserted = Vec::new();
        for (name, channel) in by_name.iter_mut().filter(|(_, c)| !c.has_audience()) {
            channel.live = false;
            deserted.push(name.clone());
        }
        (wanted, deserted)
    }

    /// Subscribed on the present connection. Whoever listened before that may have missed something.
    pub fn confirmed(&self, name: &str) {
        if let Some(channel) = self.lock().get_mut(name) {
            channel.live = true;
            if let Some(notices) = &channel.notices {
                let _ = notices.send(Notice::Gap);
            }
        }
        self.changed();
    }

    /// The connection is gone.
    pub fn all_lost(&self) {
        self.lock().values_mut().for_each(|c| c.live = false);
    }
}

impl Channel {
    fn has_audience(&self) -> bool {
        self.notices.as_ref().is_some_and(|n| n.receiver_count() > 0)
    }
}
