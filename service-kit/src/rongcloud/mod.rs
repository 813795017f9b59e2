//! Client of RongCloud's server API (`semantics.md` B): user tokens and profiles, groups.
//!
//! Every call here sets a state and may be repeated, so one whose answer was lost goes to the next host.

mod answer;
mod hosts;
mod sign;

pub use answer::Trouble;

use crate::clock::Clock;
use crate::http::{self, Connections};
use crate::secret::Secret;
use crate::settings::RongCloudSettings;
use answer::Answer;
use form_urlencoded::Serializer;
use hosts::Hosts;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A client waits for these, and so does the internal call of another service (`internal`): an answer, good or
/// bad, is there before those give up.
const WHILE_A_CLIENT_WAITS: Duration = Duration::from_millis(1_100);
/// The rest is sent by the outbox; shorter than what that grants a delivery.
const IN_THE_BACKGROUND: Duration = Duration::from_secs(6);
/// One host gets no longer than this where there is another to try.
const ATTEMPT: Duration = Duration::from_secs(3);
const CONNECTIONS: Connections = Connections {
    connect_timeout: Duration::from_secs(1),
    // RongCloud asks for no keep-alive above 60 s.
    idle_timeout: Duration::from_secs(20),
    idle_per_host: 16,
};
/// RongCloud takes so many users in one group call.
pub const MAX_USERS: usize = 1000;

/// The server API of one app. Cheap to clone.
#[derive(Clone)]
pub struct RongCloud(Arc<Inner>);

struct Inner {
    app_key: String,
    app_secret: Secret,
    hosts: Hosts,
    clock: Clock,
}

/// A user as RongCloud has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInfo {
    #[serde(default)]
    pub user_name: String,
    #[serde(default)]
    pub user_portrait: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Done {}

thread_local! {
    static HTTP: std::cell::OnceCell<reqwest::Client> = const { std::cell::OnceCell::new() };
}

impl RongCloud {
    pub fn new(settings: &RongCloudSettings, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            app_key: settings.app_key.clone(),
            app_secret: settings.app_secret.clone(),
            hosts: Hosts::new(&settings.hosts.0),
            clock,
        }))
    }

    /// A token for a user; RongCloud takes over name and portrait. The name must not be empty.
    pub async fn get_token(&self, user_id: &str, name: &str, portrait: &str) -> Result<Secret, Trouble> {
        let form = form([("userId", user_id), ("name", name), ("portraitUri", portrait)]);
        let answer: Token = self.call("/user/getToken.json", form, WHILE_A_CLIENT_WAITS).await?;
        if answer.token.is_empty() || answer.token.len() > 4096 {
            return Err(Trouble::Unavailable("an answer without a usable token".into()));
        }
        Ok(Secret::new(answer.token))
    }

    /// Sets a user's name and portrait.
    pub async fn refresh_user(&self, user_id: &str, name: &str, portrait: &str) -> Result<(), Trouble> {
        let form = form([("userId", user_id), ("name", name), ("portraitUri", portrait)]);
        self.do_call("/user/refresh.json", form).await
    }

    pub async fn user_info(&self, user_id: &str) -> Result<UserInfo, Trouble> {
        self.call("/user/info.json", form([("userId", user_id)]), WHILE_A_CLIENT_WAITS).await
    }

    /// Makes a group with these members, or adds them to the one that is there.
    pub async fn create_group(&self, users: &[&str], group_id: &str, name: &str) -> Result<(), Trouble> {
        self.each_thousand("/group/create.json", users, group_id, Some(name)).await
    }

    pub async fn join_group(&self, users: &[&str], group_id: &str, name: &str) -> Result<(), Trouble> {
        self.each_thousand("/group/join.json", users, group_id, Some(name)).await
    }

    pub async fn quit_group(&self, users: &[&str], group_id: &str) -> Result<(), Trouble> {
        self.each_thousand("/group/quit.json", users, group_id, None).await
    }

    /// Ends a group, in the name of a user.
    pub async fn dismiss_group(&self, user_id: &str, group_id: &str) -> Result<(), Trouble> {
        self.do_call("/group/dismiss.json", form([("userId", user_id), ("groupId", group_id)])).await
    }

    /// Sets all groups of a user at once: ids and names.
    pub async fn sync_groups(&self, user_id: &str, groups: &[(String, String)]) -> Result<(), Trouble> {
        let keys: Vec<String> = groups.iter().map(|(id, _)| format!("group[{id}]")).collect();
        let groups = keys.iter().zip(groups).map(|(key, (_, name))| (key.as_str(), name.as_str()));
        let form = form([("userId", user_id)].into_iter().chain(groups));
        self.do_call("/group/sync.json", form).await
    }

    async fn each_thousand(
        &self,
        path: &str,
        users: &[&str],
        group_id: &str,
        name: Option<&str>,
    ) -> Result<(), Trouble> {
        for users in users.chunks(MAX_USERS) {
            let users = users.iter().map(|user| ("userId", *user));
            let group = [("groupId", group_id)].into_iter().chain(name.map(|name| ("groupName", name)));
            self.do_call(path, form(users.chain(group))).await?;
        }
        Ok(())
    }

    async fn do_call(&self, path: &str, form: String) -> Result<(), Trouble> {
        let Done {} = self.call(path, form, IN_THE_BACKGROUND).await?;
        Ok(())
    }

    /// Tries the hosts in turn, the one that answered last first, within `patience` in all.
    async fn call<A: Answer>(&self, path: &str, form: String, patience: Duration) -> Result<A, Trouble> {
        let deadline = Instant::now() + patience;
        let mut why = Trouble::Unavailable("no host".into());
        let hosts = self.0.hosts.in_turn();
        for (tried, host) in hosts.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A silent host leaves time for the next one.
            let slice = if tried + 1 < hosts.len() { ATTEMPT.min(left / 2) } else { left };
            match timeout(slice, self.attempt(&host.base, path, form.clone())).await {
                Ok(Err(Trouble::Unavailable(e))) => why = Trouble::Unavailable(e),
                Ok(answer) => {
                    self.0.hosts.answered(host);
                    return answer;
                }
                Err(_) => why = Trouble::Unavailable("no answer in time".into()),
            }
            log::debug!("RongCloud {path} at {}: {why}", host.base);
        }
        Err(why)
    }

    async fn attempt<A: Answer>(&self, base: &str, path: &str, form: String) -> Result<A, Trouble> {
        let gone = |e: reqwest::Error| Trouble::Unavailable(e.without_url().to_string());
        let signature = sign::sign(&self.0.app_secret, &crate::random::hex(8), self.0.clock.now());
        let request = http::client(&HTTP, &CONNECTIONS)
            .map_err(gone)?
            .post(format!("{base}{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("App-Key", &self.0.app_key)
            .header("Nonce", signature.nonce)
            .header("Timestamp", signature.timestamp)
            .header("Signature", signature.text)
            .body(form);
        let mut response = request.send().await.map_err(gone)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(gone)? {
            if body.len() + chunk.len() > answer::MAX_BODY {
                return Err(Trouble::Unavailable("an answer too long to be one".into()));
            }
            body.extend_from_slice(&chunk);
        }
        answer::read(response.status().as_u16(), &body)
    }
}

fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
