//! Profiles for lists and credential checks: in this process (≤ 2 s old) → state store (≤ 5 s) → svc-im-auth.
//!
//! Where the profile cannot be had the call fails: "unknown" is never shown as an empty name.

use crate::copies::Copies;
use crate::error::{Code, Error, Result};
use crate::internal::InternalClient;
use crate::random::shortened;
use crate::state::State;
use futures_util::future::BoxFuture;
use lru::LruCache;
use shared_models::Profile;
use shared_models::internal::{AccountKey, MAX_PROFILES, ProfilesRequest, ProfilesResponse};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Older entries of this process are looked up again.
const FRESH: Duration = Duration::from_secs(2);
/// What is this old is known by no copy any more: what is found now counts, also where its revision is an earlier one
/// (a database that was set back).
const FORGOTTEN: Duration = Duration::from_secs(8);
/// Another caller's look-up of the same profile is waited for at most so long.
const WAIT: Duration = Duration::from_secs(2);
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Where profiles are when they are in neither cache.
pub trait ProfileSource: Send + Sync + 'static {
    /// At most [`MAX_PROFILES`] keys; unknown ones are left out of the answer.
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>>;
}

impl ProfileSource for InternalClient {
    fn fetch(&self, keys: Vec<AccountKey>) -> BoxFuture<'_, Result<Vec<Profile>>> {
        Box::pin(async move {
            let answer: ProfilesResponse = self.call("/internal/profiles", &ProfilesRequest { keys }).await?;
            Ok(answer.profiles)
        })
    }
}

/// The profile directory. Cheap to clone.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    copies: Copies,
    source: Box<dyn ProfileSource>,
    near: Mutex<Near>,
}

struct Near {
    entries: LruCache<AccountKey, Entry>,
    /// Look-ups under way; the channel closes when one ends, however it ends.
    flights: HashMap<AccountKey, watch::Receiver<()>>,
}

#[derive(Clone)]
struct Entry {
    profile: Option<Arc<Profile>>,
    /// When the look-up that brought it began, or the change was made.
    as_of: Instant,
    /// What a look-up brought is looked up again together, but not with what others brought.
    fresh: Duration,
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.as_of) < self.fresh
    }

    /// Whether what came later is older than this: a copy of before a change.
    fn outdates(&self, brought: Option<&Arc<Profile>>) -> bool {
        let revision = |profile: Option<&Arc<Profile>>| profile.map(|p| p.revision);
        let (known, brought) = (revision(self.profile.as_ref()), revision(brought));
        // 0: an earlier version of svc-im-auth does not tell.
        known > brought && brought != Some(0) && self.as_of.elapsed() < FORGOTTEN
    }
}

impl Directory {
    pub fn new(state: State, source: impl ProfileSource) -> Self {
        let near = Near { entries: LruCache::new(CAPACITY), flights: HashMap::new() };
        Self(Arc::new(Inner { copies: Copies::new(state), source: Box::new(source), near: Mutex::new(near) }))
    }

    /// An account's profile; `None` if there is no such account.
    pub async fn get(&self, key: &AccountKey) -> Result<Option<Arc<Profile>>> {
        Ok(self.get_many(std::slice::from_ref(key)).await?.pop().flatten())
    }

    /// Profiles in the order of `keys`; `None` where there is no such account.
    pub async fn get_many(&self, keys: &[AccountKey]) -> Result<Vec<Option<Arc<Profile>>>> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let (found, mine, others) = self.look(keys);
            if mine.keys.is_empty() && others.is_empty() {
                return Ok(found.into_iter().map(Option::flatten).collect());
            }
            if !mine.keys.is_empty() {
                let brought = self.fetch(&mine).await?;
                if others.is_empty() {
                    let missing = |key| brought.get(key).cloned().flatten();
                    return Ok(keys.iter().zip(found).map(|(k, f)| f.unwrap_or_else(|| missing(k))).collect());
                }
            }
            drop(mine);
            for mut other in others {
                // Err is the end of that look-up: the next round finds what it brought, or looks itself.
                if tokio::time::timeout_at(deadline, other.changed()).await.is_err() {
                    return Err(Code::Unreachable.into());
                }
            }
        }
    }

    /// [`get_many`](Self::get_many) for long lists that pass through once: uses what is at hand and leaves no copies,
    /// which would push out those that are needed again.
    pub async fn pass_many(&self, keys: &[AccountKey]) -> Result<Vec<Option<Arc<Profile>>>> {
        let now = Instant::now();
        let mut found: Vec<Option<Option<Arc<Profile>>>> = {
            let near = self.near();
            keys.iter()
                .map(|key| near.entries.peek(key).filter(|e| e.is_fresh(now)).map(|e| e.profile.clone()))
                .collect()
        };
        let missing =
            |found: &[Option<_>]| -> Vec<usize> { (0..found.len()).filter(|n| found[*n].is_none()).collect() };
        let asked = missing(&found);
        let names: Vec<String> = asked.iter().map(|n| copy_key(&keys[*n])).collect();
        for (n, copy) in asked.iter().zip(self.0.copies.get_many(&names).await) {
            found[*n] = copy.as_deref().and_then(|copy| parse_copy(copy).ok());
        }
        for asked in missing(&found).chunks(MAX_PROFILES) {
            let brought = self.0.source.fetch(asked.iter().map(|n| keys[*n].clone()).collect()).await?;
            let by_key: HashMap<AccountKey, Arc<Profile>> = (brought.into_iter())
                .map(|p| (AccountKey { app_id: p.app_id.clone(), uid: p.uid.clone() }, Arc::new(p)))
                .collect();
            for n in asked {
                found[*n] = Some(by_key.get(&keys[*n]).cloned());
            }
        }
        Ok(found.into_iter().map(Option::flatten).collect())
    }

    /// After a change of this process's own, and before its answer: everybody's next look finds it.
    ///
    /// The copy in the state store is overwritten; if the store is away others may see the old one for 5 s.
    pub async fn changed(&self, profile: Profile) {
        self.learn(profile.clone());
        if let Ok(copy) = serde_json::to_string(&profile) {
            let key = copy_key(&AccountKey { app_id: profile.app_id, uid: profile.uid });
            self.0.copies.overwrite(&[(key, copy)]).await;
        }
    }

    /// What another service answered to a change of ours: this process sees it at once.
    pub fn learn(&self, profile: Profile) {
        let key = AccountKey { app_id: profile.app_id.clone(), uid: profile.uid.clone() };
        let profile = Some(Arc::new(profile));
        let mut near = self.near();
        // Of changes at the same time the answer to the earlier may come later.
        if near.entries.peek(&key).is_none_or(|known| !known.outdates(profile.as_ref())) {
            near.entries.put(key, Entry { profile, as_of: Instant::now(), fresh: FRESH });
        }
    }

    /// What is at hand, what this caller is to look up, and whose look-ups to wait for.
    #[expect(clippy::type_complexity, reason = "three parts of one look, taken apart at once")]
    fn look(&self, keys: &[AccountKey]) -> (Vec<Option<Option<Arc<Profile>>>>, Flight, Vec<watch::Receiver<()>>) {
        let now = Instant::now();
        let (done, landed) = watch::channel(());
        let mut mine = Flight { directory: self.clone(), keys: Vec::new(), began: now, _done: done };
        let (mut others, mut claimed) = (Vec::new(), HashSet::new());
        let mut near = self.near();
        let found = keys
            .iter()
            .map(|key| {
                match near.entries.get(key) {
                    Some(entry) if entry.is_fresh(now) => return Some(entry.profile.clone()),
                    _ => {}
                }
                match near.flights.get(key) {
                    Some(_) if claimed.contains(key) => {}
                    Some(other) => others.push(other.clone()),
                    None => {
                        near.flights.insert(key.clone(), landed.clone());
                        claimed.insert(key);
                        mine.keys.push(key.clone());
                    }
                }
                None
            })
            .collect();
        (found, mine, others)
    }

    async fn fetch(&self, flight: &Flight) -> Result<HashMap<AccountKey, Option<Arc<Profile>>>> {
        let mut brought = HashMap::with_capacity(flight.keys.len());
        let copies: Vec<String> = flight.keys.iter().map(copy_key).collect();
        let copies = self.0.copies.get_many(&copies).await;
        let mut missing = Vec::new();
        for (key, copy) in flight.keys.iter().zip(copies) {
            match copy.as_deref().map(parse_copy) {
                Some(Ok(profile)) => drop(brought.insert(key.clone(), profile)),
                _ => missing.push(key.clone()),
            }
        }
        for keys in missing.chunks(MAX_PROFILES) {
            let mut profiles: HashMap<AccountKey, Profile> = (self.0.source.fetch(keys.to_vec()).await?)
                .into_iter()
                .map(|p| (AccountKey { app_id: p.app_id.clone(), uid: p.uid.clone() }, p))
                .collect();
            let mut copies = Vec::with_capacity(keys.len());
            for key in keys {
                let profile = profiles.remove(key);
                let copy = match &profile {
                    None => String::new(),
                    Some(profile) => serde_json::to_string(profile).map_err(Error::internal)?,
                };
                copies.push((copy_key(key), copy));
                brought.insert(key.clone(), profile.map(Arc::new));
            }
            self.0.copies.fill(&copies, flight.began).await;
        }
        let fresh = shortened(FRESH);
        let mut near = self.near();
        for (key, profile) in &mut brought {
            match near.entries.peek(key) {
                // A change of this process's own came after this look-up began, or is not in what it found.
                Some(newer) if newer.as_of > flight.began || newer.outdates(profile.as_ref()) => {
                    profile.clone_from(&newer.profile);
                }
                _ => {
                    let entry = Entry { profile: profile.clone(), as_of: flight.began, fresh };
                    near.entries.put(key.clone(), entry);
                }
            }
        }
        Ok(brought)
    }

    fn near(&self) -> MutexGuard<'_, Near> {
        self.0.near.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look-up under way. Ends when dropped, also where its caller has gone.
struct Flight {
    directory: Directory,
    keys: Vec<AccountKey>,
    began: Instant,
    _done: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            let mut near = self.directory.near();
            for key in &self.keys {
                near.flights.remove(key);
            }
        }
    }
}

/// App ids hold no colon, so keys of different accounts differ.
fn copy_key(key: &AccountKey) -> String {
    format!("profile:{}:{}", key.app_id.as_str(), key.uid.as_str())
}

/// An empty copy: there is no such account.
fn parse_copy(copy: &str) -> serde_json::Result<Option<Arc<Profile>>> {
    if copy.is_empty() { Ok(None) } else { serde_json::from_str(copy).map(|p| Some(Arc::new(p))) }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testkit::fuzz::target;

    #[test]
    fn profile_copy() {
        target(env!("CARGO_MANIFEST_DIR"), "profile_copy", |input| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            let Ok(Some(profile)) = parse_copy(text) else { return };
            let again = serde_json::to_string(&*profile).unwrap();
            assert_eq!(parse_copy(&again).unwrap().as_ref(), Some(&profile));
            let key = AccountKey { app_id: profile.app_id.clone(), uid: profile.uid.clone() };
            let name = copy_key(&key);
            let (app, uid) = name.strip_prefix("profile:").unwrap().split_once(':').unwrap();
            assert_eq!((app, uid), (key.app_id.as_str(), key.uid.as_str()), "no other account's key");
        });
    }
}
