//! Where pages of large groups begin, so that not every page counts those before it.

use crate::store::lists::{Bookmark, Piece};
use lru::LruCache;
use shared_models::GroupId;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// A bookmark holds by itself until somebody leaves; but of a database that was set back it would not be known that
/// it is of another time.
const LIFE: Duration = Duration::from_secs(60);

/// By group and number of members before.
pub struct Bookmarks(Mutex<LruCache<(GroupId, i64), (Bookmark, Instant)>>);

impl Default for Bookmarks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl Bookmarks {
    pub fn find(&self, id: GroupId, offset: i64) -> Option<Bookmark> {
        let known = self.all().get(&(id, offset)).copied();
        known.filter(|(_, since)| since.elapsed() < LIFE).map(|(bookmark, _)| bookmark)
    }

    /// Of a page that was read from number `offset` + 1 on: where it begins, and where the next one does.
    pub fn keep(&self, id: GroupId, offset: i64, piece: &Piece) {
        let (Some(gaps), Some((first, _)), Some((last, _))) = (piece.gaps, piece.members.first(), piece.members.last())
        else {
            return;
        };
        let next = offset.saturating_add_unsigned(piece.members.len() as u64);
        let (now, mut all) = (Instant::now(), self.all());
        for (offset, place) in [(offset, *first), (next, last + 1)] {
            all.put((id, offset), (Bookmark { gaps, place }, now));
        }
    }

    fn all(&self) -> MutexGuard<'_, LruCache<(GroupId, i64), (Bookmark, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
