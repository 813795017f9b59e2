//! Lists, in pieces: memory is bounded whatever their length.

use super::Core;
use crate::store::lists::{self as store, Piece};
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use service_kit::wire::Chunks;
use service_kit::{Code, Kind, Result};
use shared_models::internal::AccountKey;
use shared_models::{GroupId, Uid};
use std::time::{Duration, Instant};

pub use crate::store::lists::JoinedGroup;

/// Rows of one piece; the directory takes so many at once.
const CHUNK: i64 = 1000;
/// Before a piece is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1500)];

/// What a member list shows of a member.
pub struct MemberView {
    pub uid: String,
    pub nickname: String,
    /// As stored.
    pub icon: String,
}

/// A page that was asked for: numbers from 1, sizes from 1 to 1000; out of range is clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    offset: i64,
    limit: i64,
}

impl Page {
    const DEFAULT_SIZE: i64 = 20;
    const MAX_SIZE: i64 = 1000;

    /// Neither given: no page, but everything.
    pub fn of(number: Option<i64>, size: Option<i64>) -> Option<Self> {
        if number.is_none() && size.is_none() {
            return None;
        }
        let limit = size.unwrap_or(Self::DEFAULT_SIZE).clamp(1, Self::MAX_SIZE);
        let before = number.unwrap_or(1).max(1) - 1;
        Some(Self { offset: before.saturating_mul(limit), limit })
    }
}

impl Core {
    /// A page of a group's members, or all of them, with the group's name. All that can fail before the first byte has
    /// succeeded when this returns: the group is there and the first piece read.
    pub async fn list_members(&self, id: GroupId, page: Option<Page>) -> Result<(String, Chunks<MemberView>)> {
        let now = Instant::now();
        let known = page.and_then(|page| self.bookmarks.find(id, page.offset, now));
        let bookmark = known.map(|known| known.bookmark);
        let piece = self
            .db
            .read(move |conn| {
                let piece = match page {
                    Some(page) => store::list_page(conn, id, page.offset, page.limit, bookmark)?,
                    None => store::list_members(conn, id, 0, CHUNK)?,
                };
                Ok(piece.ok_or(Code::UnknownGroup)?)
            })
            .await?;
        if let Some(page) = page {
            self.bookmarks.keep(id, page.offset, &piece, known, now);
        }
        let Piece { name, members, .. } = piece;
        let last = last_of(&members, CHUNK).filter(|_| page.is_none());
        let first = self.viewed(members, last.is_some()).await?;
        let rest = last.map(|last| self.members_after(id, last));
        Ok((name, Chunks { first, rest }))
    }

    fn members_after(&self, id: GroupId, after: i64) -> BoxStream<'static, Result<Vec<MemberView>>> {
        let core = self.clone();
        try_unfold(Some(after), move |after| {
            let core = core.clone();
            async move {
                let Some(after) = after else { return Ok(None) };
                patiently(|| core.piece_after(id, after)).await.map(Some)
            }
        })
        .boxed()
    }

    /// One piece, and where to go on if there may be another.
    async fn piece_after(&self, id: GroupId, after: i64) -> Result<(Vec<MemberView>, Option<i64>)> {
        let piece = self.db.read(move |conn| Ok(store::list_members(conn, id, after, CHUNK)?)).await?;
        let rows = piece.ok_or(Code::UnknownGroup)?.members;
        let last = last_of(&rows, CHUNK);
        Ok((self.viewed(rows, true).await?, last))
    }

    /// Names and icons from the directory; whom nobody knows (his terminal user has no account yet) has none. A long
    /// list leaves no trace there.
    async fn viewed(&self, rows: Vec<store::Member>, is_long: bool) -> Result<Vec<MemberView>> {
        let stored = |e| service_kit::Error::internal(format!("a stored membership has a bad uid: {e}"));
        let keys = rows
            .iter()
            .map(|(_, uid)| {
                let uid = Uid::new(uid.as_str()).map_err(stored)?;
                Ok(AccountKey { app_id: self.system_app.id.clone(), uid })
            })
            .collect::<Result<Vec<_>>>()?;
        let directory = &self.directory;
        let profiles = if is_long { directory.pass_many(&keys).await } else { directory.get_many(&keys).await }?;
        let views = rows.into_iter().zip(profiles).map(|((_, uid), profile)| {
            let (nickname, icon) = profile.map(|p| (p.name.clone(), p.icon.clone())).unwrap_or_default();
            MemberView { uid, nickname, icon }
        });
        Ok(views.collect())
    }

    /// All groups of a user, in joining order.
    pub async fn list_groups(&self, uid: &Uid) -> Result<Chunks<JoinedGroup>> {
        let first = self.groups_after(uid.as_str().to_owned(), 0).await?;
        let after = (first.len() as i64 == CHUNK).then(|| first.last().map(|g| g.membership)).flatten();
        let rest = after.map(|after| {
            let (core, uid) = (self.clone(), uid.as_str().to_owned());
            try_unfold(Some(after), move |after| {
                let (core, uid) = (core.clone(), uid.clone());
                async move {
                    let Some(after) = after else { return Ok(None) };
                    let some = patiently(|| core.groups_after(uid.clone(), after)).await?;
                    let last = (some.len() as i64 == CHUNK).then(|| some.last().map(|g| g.membership)).flatten();
                    Ok(Some((some, last)))
                }
            })
            .boxed()
        });
        Ok(Chunks { first, rest })
    }

    async fn groups_after(&self, uid: String, after: i64) -> Result<Vec<JoinedGroup>> {
        self.db.read(move |conn| Ok(store::list_groups(conn, &uid, after, CHUNK)?)).await
    }
}

/// A list that has begun is worth waiting for: what is busy or away for a moment does not break it off.
async fn patiently<T, F: Future<Output = Result<T>>>(mut read: impl FnMut() -> F) -> Result<T> {
    for pause in PAUSES {
        match read().await {
            Err(e) if e.kind() == Kind::Unavailable => tokio::time::sleep(pause).await,
            done => return done,
        }
    }
    read().await
}

/// Where to go on after a full piece.
fn last_of(rows: &[store::Member], full: i64) -> Option<i64> {
    let (last, _) = rows.last()?;
    (i64::try_from(rows.len()) == Ok(full)).then_some(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_defaults_and_are_clamped() {
        let page = |offset, limit| Some(Page { offset, limit });
        for (number, size, expected) in [
            (None, None, None),
            (Some(1), None, page(0, 20)),
            (Some(3), None, page(40, 20)),
            (None, Some(7), page(0, 7)),
            (Some(2), Some(7), page(7, 7)),
            (Some(0), Some(0), page(0, 1)),
            (Some(-5), Some(-5), page(0, 1)),
            (Some(2), Some(5000), page(1000, 1000)),
            (Some(i64::MAX), Some(i64::MAX), page(i64::MAX, 1000)),
        ] {
            assert_eq!(Page::of(number, size), expected, "{number:?} {size:?}");
        }
    }
}
