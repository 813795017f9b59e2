//! Large bodies in memory, within what all of them together may hold.

use crate::error::{Code, Error, Result};
use actix_web::web::{Bytes, BytesMut};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Room is counted in units of so much. The first one of a body is free: small bodies wait for nobody.
const UNIT: usize = 64 << 10;
/// All large bodies of a process together: 64 of 5 MiB.
const UNITS: usize = 64 * 80;
static ROOM: Semaphore = Semaphore::const_new(UNITS);
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// A body that takes room as it grows, and so never more than has come: whoever announces much and sends little
/// holds up nobody.
pub struct Held {
    content: BytesMut,
    all: &'static Semaphore,
    room: Option<Room>,
}

/// What a body holds; given back when dropped.
pub struct Room {
    permits: SemaphorePermit<'static>,
}

impl Default for Held {
    fn default() -> Self {
        Self::within(&ROOM)
    }
}

impl Held {
    fn within(all: &'static Semaphore) -> Self {
        Self { content: BytesMut::new(), all, room: None }
    }

    pub fn len(&self) -> usize {
        self.content.len()
    }

    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Waits for room, but not for long.
    pub async fn push(&mut self, piece: &[u8]) -> Result<()> {
        let needed = (self.content.len() + piece.len()).div_ceil(UNIT).saturating_sub(1);
        let held = self.room.as_ref().map_or(0, |room| room.permits.num_permits());
        if needed > held {
            self.grow(needed - held).await?;
        }
        self.content.extend_from_slice(piece);
        Ok(())
    }

    async fn grow(&mut self, units: usize) -> Result<()> {
        let more = self.all.acquire_many(u32::try_from(units).map_err(Error::internal)?);
        let late = |e| Error::from(Code::Busy).because(e);
        let permits = tokio::time::timeout(ROOM_WAIT, more).await.map_err(late)?.map_err(Error::internal)?;
        match &mut self.room {
            Some(room) => room.permits.merge(permits),
            None => self.room = Some(Room { permits }),
        }
        Ok(())
    }

    /// The content, and the room that is held for it.
    pub fn into_parts(self) -> (Bytes, Option<Room>) {
        (self.content.freeze(), self.room)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    static ALL: Semaphore = Semaphore::const_new(10);

    #[tokio::test]
    async fn a_body_takes_room_as_it_grows_and_gives_it_back() {
        let left = || ALL.available_permits();
        let mut body = Held::within(&ALL);
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
        let mut late = Held::within(&ALL);
        late.push(&[0; 2 * UNIT]).await.unwrap();
        assert_eq!(late.push(&[0; UNIT]).await.unwrap_err().code(), Code::Busy);
        // Nothing was added, and what was held is held on.
        assert_eq!((late.len(), left()), (2 * UNIT, 0));
        // Small ones wait for nobody.
        Held::within(&ALL).push(&[0; UNIT]).await.unwrap();
        drop(others);
        late.push(&[0; UNIT]).await.unwrap();
        drop(late);
        assert_eq!(left(), 10);
    }
}
