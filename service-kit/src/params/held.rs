//! Bodies in memory, the large ones within what all of them together may hold.

use crate::error::{Code, Error, Result};
use actix_web::web::{Bytes, BytesMut};
use std::ops::Deref;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Room is counted in units of so much. The first one of a body is free: small bodies wait for nobody.
const UNIT: usize = 64 << 10;
/// All large bodies of a process together: 64 of 5 MiB.
const UNITS: usize = 64 * 80;
static ROOM: Semaphore = Semaphore::const_new(UNITS);
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// All the room that is left, for a test that wants none to be.
#[cfg(test)]
pub(super) fn all_room() -> SemaphorePermit<'static> {
    ROOM.try_acquire_many(u32::try_from(ROOM.available_permits()).unwrap_or(0)).ok().unwrap_or_else(|| unreachable!())
}

/// What a body holds; given back when dropped.
pub struct Room {
    all: &'static Semaphore,
    bytes: usize,
    permits: Option<SemaphorePermit<'static>>,
}

impl Default for Room {
    fn default() -> Self {
        Self::within(&ROOM)
    }
}

impl Room {
    fn within(all: &'static Semaphore) -> Self {
        Self { all, bytes: 0, permits: None }
    }

    /// Takes room for so many bytes more: waits for it, but not for long.
    pub async fn take(&mut self, bytes: usize) -> Result<()> {
        let needed = (self.bytes + bytes).div_ceil(UNIT).saturating_sub(1);
        let held = self.permits.as_ref().map_or(0, SemaphorePermit::num_permits);
        if needed > held {
            let more = self.all.acquire_many(u32::try_from(needed - held).map_err(Error::internal)?);
            let late = |e| Error::from(Code::Busy).because(e);
            let permits = tokio::time::timeout(ROOM_WAIT, more).await.map_err(late)?.map_err(Error::internal)?;
            match &mut self.permits {
                Some(held) => held.merge(permits),
                None => self.permits = Some(permits),
            }
        }
        self.bytes += bytes;
        Ok(())
    }
}

/// A body that takes room as it grows, and so never more than has come: whoever announces much and sends little
/// holds up nobody.
#[derive(Default)]
pub struct Held {
    content: BytesMut,
    room: Room,
}

impl Held {
    /// Expects so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { content: BytesMut::with_capacity(bytes.min(UNIT)), room: Room::default() }
    }

    pub async fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.room.take(piece.len()).await?;
        self.content.extend_from_slice(piece);
        Ok(())
    }

    /// The content, and the room that is held for it.
    pub fn into_parts(self) -> (Bytes, Room) {
        (self.content.freeze(), self.room)
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.content
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    static ALL: Semaphore = Semaphore::const_new(10);

    fn held() -> Held {
        Held { content: BytesMut::new(), room: Room::within(&ALL) }
    }

    #[tokio::test]
    async fn a_body_takes_room_as_it_grows_and_gives_it_back() {
        let left = || ALL.available_permits();
        let mut body = held();
        body.push(&[0; UNIT]).await.unwrap();
        assert_eq!(left(), 10, "the first unit is free");
        body.push(b"x").await.unwrap();
        assert_eq!(left(), 9);
        body.push(&[0; 3 * UNIT]).await.unwrap();
        assert_eq!(left(), 6);
        let (content, room) = body.into_parts();
        assert_eq!((content.len(), left()), (4 * UNIT + 1, 6));
        drop(room);
        assert_eq!(left(), 10);

        let others = ALL.acquire_many(9).await.unwrap();
        let mut late = held();
        late.push(&[0; 2 * UNIT]).await.unwrap();
        assert_eq!(late.push(&[0; UNIT]).await.unwrap_err().code(), Code::Busy);
        // Nothing was added, and what was held is held on.
        assert_eq!((late.len(), left()), (2 * UNIT, 0));
        // Small ones wait for nobody.
        held().push(&[0; UNIT]).await.unwrap();
        drop(others);
        late.push(&[0; UNIT]).await.unwrap();
        drop(late);
        assert_eq!(left(), 10);
    }
}
