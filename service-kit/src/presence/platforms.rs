use shared_models::Platform;
use std::fmt;
use std::ops::BitOr;

/// A set of platforms.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Platforms(u8);

impl Platforms {
    pub const NONE: Self = Self(0);

    pub fn contains(self, platform: Platform) -> bool {
        self.0 & Self::from(platform).0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Platform> {
        Platform::ALL.into_iter().filter(move |&p| self.contains(p))
    }
}

impl From<Platform> for Platforms {
    fn from(platform: Platform) -> Self {
        Self(1 << platform.number())
    }
}

impl BitOr for Platforms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Platform> for Platforms {
    fn from_iter<I: IntoIterator<Item = Platform>>(platforms: I) -> Self {
        platforms.into_iter().fold(Self::NONE, |all, p| all | p.into())
    }
}

impl fmt::Debug for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
