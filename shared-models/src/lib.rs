//! What Kith's services say to each other: identifiers, text types with their limits, platforms, profiles and
//! the internal API's messages. Owns no I/O and must not know actix, Diesel or Redis.

mod id;
pub mod internal;
mod platform;
mod profile;
mod scalar;
pub mod schema;
mod stamp;
mod text;

pub use id::{AppId, GroupId, TuserKey, Uid};
pub use platform::Platform;
pub use profile::{Gender, Profile};
pub use scalar::{Flag, Int, empty_is_absent};
pub use stamp::Stamp;
pub use text::{ByteText, Many, Text};
