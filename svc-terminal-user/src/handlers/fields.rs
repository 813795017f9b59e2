//! How this family's clients leave things out.

use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer};

/// For optional fields: an empty string is absent, anything else must be right. (Unlike `empty_is_absent` of
/// shared-models, a blank is something: keys are opaque.)
pub fn given<'de, T, D>(d: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(d)?;
    if text.is_empty() { Ok(None) } else { T::deserialize(StringDeserializer::new(text)).map(Some) }
}
