//! Request ids: the client's own if it is well-formed, otherwise one made here.

use std::cell::Cell;
use std::fmt;

/// As long as `service_kit::client::is_request_id` lets them be.
const MAX: usize = 64;

/// An id, without an allocation.
#[derive(Clone, Copy)]
pub struct RequestId {
    text: [u8; MAX],
    len: u8,
}

impl RequestId {
    /// An id that was checked before; what is too long is cut.
    pub fn given(id: &str) -> Self {
        let len = id.len().min(MAX);
        let mut text = [0; MAX];
        text[..len].copy_from_slice(&id.as_bytes()[..len]);
        Self { text, len: u8::try_from(len).unwrap_or(0) }
    }

    fn number(n: u64) -> Self {
        let mut text = [0; MAX];
        for (i, digit) in text.iter_mut().take(16).enumerate() {
            *digit = b"0123456789abcdef"[usize::try_from(n >> (60 - 4 * i) & 15).unwrap_or(0)];
        }
        Self { text, len: 16 }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes ids: a random beginning of each worker's own, counted on and mixed, so that no id comes twice from a worker
/// and hardly ever from two. They are names, not secrets.
pub struct Ids(Cell<u64>);

impl Ids {
    pub fn new() -> Self {
        let seed = service_kit::random::hex(8);
        Self(Cell::new(u64::from_str_radix(&seed, 16).unwrap_or_default()))
    }

    pub fn next(&self) -> RequestId {
        let n = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(n);
        // The finalizer of splitmix64, a bijection.
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId::number(n ^ (n >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::client::is_request_id;
    use std::collections::HashSet;

    #[test]
    fn ids_are_well_formed_and_differ() {
        let ids = Ids::new();
        let made: HashSet<String> = (0..10_000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| is_request_id(id) && id.len() == 16));
        assert_eq!(RequestId::given(&"x".repeat(64)).as_str().len(), 64);
    }
}
