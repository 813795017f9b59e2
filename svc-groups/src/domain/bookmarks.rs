//! Where pages of large groups begin, so that not every page counts those before it.

use crate::store::lists::{Bookmark, Piece};
use lru::LruCache;
use shared_models::GroupId;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// A bookmark holds by itself until somebody leaves; but of a database that was set back it would not be known that
/// it is of another time. So it is found anew, and not only by itself, after this.
const LIFE: Duration = Duration::from_secs(60);

/// By group and number of members before.
pub struct Bookmarks(Mutex<LruCache<(GroupId, i64), Known>>);

/// A bookmark that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub bookmark: Bookmark,
    /// When it was found by the blocks' counts, or the one by which it was found.
    since: Instant,
}

impl Default for Bookmarks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl Bookmarks {
    pub fn find(&self, id: GroupId, offset: i64, now: Instant) -> Option<Known> {
        let known = self.all().get(&(id, offset)).copied();
        known.filter(|known| now.duration_since(known.since) < LIFE)
    }

    /// Of a page that was read from number `offset` + 1 on, perhaps by a bookmark: where it begins, and where the next
    /// one does.
    pub fn keep(&self, id: GroupId, offset: i64, piece: &Piece, by: Option<Known>, now: Instant) {
        let (Some(gaps), Some((first, _)), Some((last, _))) = (piece.gaps, piece.members.first(), piece.members.last())
        else {
            return;
        };
        let since = by.filter(|by| by.bookmark.gaps == gaps).map_or(now, |by| by.since);
        let next = offset.saturating_add_unsigned(piece.members.len() as u64);
        let mut all = self.all();
        for (offset, place) in [(offset, *first), (next, last + 1)] {
            all.put((id, offset), Known { bookmark: Bookmark { gaps, place }, since });
        }
    }

    fn all(&self) -> MutexGuard<'_, LruCache<(GroupId, i64), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::lists::Gaps;

    const ID: GroupId = GroupId(7);

    fn piece(gaps: Option<i64>, places: &[i64]) -> Piece {
        let members = places.iter().map(|place| (*place, format!("u{place}"))).collect();
        Piece { name: "g".into(), members, gaps: gaps.map(Gaps) }
    }

    #[test]
    fn a_page_tells_where_it_begins_and_where_the_next_does() {
        let (marks, now) = (Bookmarks::default(), Instant::now());
        marks.keep(ID, 600, &piece(Some(2), &[603, 604, 607]), None, now);
        let place = |id, offset| marks.find(id, offset, now).map(|known| known.bookmark);
        assert_eq!(place(ID, 600), Some(Bookmark { gaps: Gaps(2), place: 603 }));
        assert_eq!(place(ID, 603), Some(Bookmark { gaps: Gaps(2), place: 608 }));
        for (id, offset) in [(ID, 601), (ID, 0), (GroupId(8), 600)] {
            assert_eq!(place(id, offset), None, "{id:?} {offset}");
        }
        // Nothing is known of a page that has nobody, or of whose group the gaps were not looked at.
        marks.keep(ID, 900, &piece(Some(2), &[]), None, now);
        marks.keep(ID, 900, &piece(None, &[904]), None, now);
        assert_eq!(place(ID, 900), None);
    }

    #[test]
    fn none_lives_longer_by_being_used() {
        let (marks, start) = (Bookmarks::default(), Instant::now());
        let page = piece(Some(2), &[603, 604]);
        marks.keep(ID, 600, &page, None, start);
        let later = start + LIFE / 2;
        let known = marks.find(ID, 600, later).unwrap();
        marks.keep(ID, 600, &page, Some(known), later);
        for offset in [600, 602] {
            assert!(marks.find(ID, offset, start + LIFE - Duration::from_secs(1)).is_some());
            assert!(marks.find(ID, offset, start + LIFE).is_none(), "{offset}");
        }
        // Found without it, as somebody had left: that is new.
        marks.keep(ID, 600, &piece(Some(3), &[604]), Some(known), later);
        assert!(marks.find(ID, 600, start + LIFE).is_some());
    }
}
