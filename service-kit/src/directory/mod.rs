//! Profiles for lists and credential checks: in this process (≤ 2 s old) → state store (≤ 5 s) → svc-im-auth.
//!
//! Where the profile cannot be had the call fails: "unknown" is never shown as an empty name.

mod flights;

use crate::copies::Copies;
use crate::error::{Code, Error, Result};
use crate::internal::InternalClient;
use crate::random::shortened;
use crate::state::State;
use flights::{Brought, End, Flight, Flights, GATHER, Progress};
use futures_util::future::{BoxFuture, join_all};
use lru::LruCache;
use shared_models::Profile;
use shared_models::internal::{AccountKey, MAX_PROFILES, ProfilesRequest, ProfilesResponse};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Older entries of this process are looked up again.
const FRESH: Duration = Duration::from_secs(2);
/// What is this old is known by no copy any more: what is found now counts, also where its revision is an earlier one
/// (a database that was set back).
const FORGOTTEN: Duration = Duration::from_secs(8);
/// A look-up that another caller makes is waited for at most so long.
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
    flights: Flights,
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
        let near = Near { entries: LruCache::new(CAPACITY), flights: Flights::default() };
        Self(Arc::new(Inner { copies: Copies::new(state), source: Box::new(source), near: Mutex::new(near) }))
    }

    /// An account's profile; `None` if there is no such account.
    pub async fn get(&self, key: &AccountKey) -> Result<Option<Arc<Profile>>> {
        Ok(self.get_many(std::slice::from_ref(key)).await?.pop().flatten())
    }

    /// Profiles in the order of `keys`; `None` where there is no such account.
    pub async fn get_many(&self, keys: &[AccountKey]) -> Result<Vec<Option<Arc<Profile>>>> {
        let deadline = tokio::time::Instant::now() + WAIT;
        let mut found: Vec<Option<Option<Arc<Profile>>>> = vec![None; keys.len()];
        loop {
            let flights = self.look(keys, &mut found);
            let mut why = None;
            let landings = flights.iter().map(|(flight, wanted)| self.landing(flight, wanted, deadline));
            for landed in join_all(landings).await {
                for (key, found) in keys.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                    *found = landed.brought.get(key).cloned();
                }
                why = landed.why.or(why);
            }
            if found.iter().all(Option::is_some) {
                return Ok(found.into_iter().map(Option::flatten).collect());
            }
            if let Some(why) = why {
                return Err(why);
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

    /// Fills in what is at hand; the look-ups that bring the rest, with what each is to bring.
    fn look<'a>(
        &self,
        keys: &'a [AccountKey],
        found: &mut [Option<Option<Arc<Profile>>>],
    ) -> Vec<(Arc<Flight>, Vec<&'a AccountKey>)> {
        let now = Instant::now();
        let mut flights: Vec<(Arc<Flight>, Vec<&AccountKey>)> = Vec::new();
        let mut near = self.near();
        for (key, found) in keys.iter().zip(found).filter(|(_, found)| found.is_none()) {
            match near.entries.get(key) {
                Some(entry) if entry.is_fresh(now) => *found = Some(entry.profile.clone()),
                _ => {
                    let flight = near.flights.join(key);
                    match flights.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &flight)) {
                        Some((_, wanted)) => wanted.push(key),
                        None => flights.push((flight, vec![key])),
                    }
                }
            }
        }
        flights
    }

    /// Makes a look-up, or waits until another has found what is wanted.
    async fn landing(&self, flight: &Arc<Flight>, wanted: &[&AccountKey], deadline: tokio::time::Instant) -> Landed {
        let mut progress = flight.progress.subscribe();
        let (due, mut is_due) = (tokio::time::Instant::now() + GATHER, false);
        loop {
            if let Some(pilot) = Pilot::of(self, flight, is_due) {
                return self.make(pilot).await;
            }
            let is_enough = |progress: &Progress| {
                progress.end.is_some() || wanted.iter().all(|key| progress.brought.contains_key(*key))
            };
            tokio::select! {
                biased;
                // It does not close before it ends.
                Ok(progress) = progress.wait_for(is_enough) => {
                    let why = match progress.end {
                        Some(End::Failed(code)) => Some(code.into()),
                        Some(End::Landed | End::Abandoned) | None => None,
                    };
                    return Landed { brought: Arc::clone(&progress.brought), why };
                }
                () = flight.go.notified() => {}
                () = sleep_until(due), if !is_due => is_due = true,
                () = sleep_until(deadline) => {
                    return Landed { brought: Arc::default(), why: Some(Code::Unreachable.into()) };
                }
            }
        }
    }

    async fn make(&self, pilot: Pilot) -> Landed {
        let mut brought = Brought::with_capacity(pilot.keys.len());
        let copies: Vec<String> = pilot.keys.iter().map(copy_key).collect();
        let copies = self.0.copies.get_many(&copies).await;
        let mut missing = Vec::new();
        for (key, copy) in pilot.keys.iter().zip(copies) {
            match copy.as_deref().map(parse_copy) {
                Some(Ok(profile)) => drop(brought.insert(key.clone(), profile)),
                _ => missing.push(key.clone()),
            }
        }
        self.keep(&pilot, &mut brought);
        if !brought.is_empty() && !missing.is_empty() {
            // Whoever wants no more than that has it, whatever becomes of the rest.
            let brought = Arc::new(brought.clone());
            pilot.flight.progress.send_replace(Progress { brought, end: None });
        }
        let calls = missing.chunks(MAX_PROFILES).map(|keys| self.0.source.fetch(keys.to_vec()));
        let (mut found, mut why, mut copies) = (Brought::with_capacity(missing.len()), None, Vec::new());
        for (keys, answer) in missing.chunks(MAX_PROFILES).zip(join_all(calls).await) {
            let mut profiles: HashMap<AccountKey, Profile> = match answer {
                Ok(profiles) => profiles
                    .into_iter()
                    .map(|p| (AccountKey { app_id: p.app_id.clone(), uid: p.uid.clone() }, p))
                    .collect(),
                Err(error) => {
                    why = Some(error);
                    continue;
                }
            };
            for key in keys {
                let profile = profiles.remove(key);
                let copy = profile.as_ref().map_or_else(|| Ok(String::new()), serde_json::to_string);
                copies.extend(copy.map(|copy| (copy_key(key), copy)));
                found.insert(key.clone(), profile.map(Arc::new));
            }
        }
        self.keep(&pilot, &mut found);
        brought.extend(found);
        let brought = Arc::new(brought);
        let end = why.as_ref().map_or(End::Landed, |why| End::Failed(why.code()));
        pilot.flight.progress.send_replace(Progress { brought: Arc::clone(&brought), end: Some(end) });
        self.0.copies.fill(&copies, pilot.began).await;
        Landed { brought, why }
    }

    /// Remembers what a look-up has found; replaces what is older than what is known.
    fn keep(&self, pilot: &Pilot, brought: &mut Brought) {
        let fresh = shortened(FRESH);
        let mut near = self.near();
        for (key, profile) in brought {
            match near.entries.peek(key) {
                // A change of this process's own came after this look-up began, or is not in what it found.
                Some(newer) if newer.as_of > pilot.began || newer.outdates(profile.as_ref()) => {
                    profile.clone_from(&newer.profile);
                }
                _ => {
                    let entry = Entry { profile: profile.clone(), as_of: pilot.began, fresh };
                    near.entries.put(key.clone(), entry);
                }
            }
        }
    }

    fn near(&self) -> MutexGuard<'_, Near> {
        self.0.near.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a look-up.
struct Landed {
    brought: Arc<Brought>,
    /// Why it is not everything.
    why: Option<Error>,
}

/// Whoever makes a look-up. It ends with this, also where its caller has gone.
struct Pilot {
    directory: Directory,
    flight: Arc<Flight>,
    keys: Vec<AccountKey>,
    began: Instant,
}

impl Pilot {
    fn of(directory: &Directory, flight: &Arc<Flight>, is_due: bool) -> Option<Self> {
        let keys = directory.near().flights.begin(flight, is_due)?;
        Some(Self { directory: directory.clone(), flight: Arc::clone(flight), keys, began: Instant::now() })
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.directory.near().flights.end(&self.keys);
        self.flight.progress.send_if_modified(|progress| {
            let is_abandoned = progress.end.is_none();
            progress.end.get_or_insert(End::Abandoned);
            is_abandoned
        });
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
