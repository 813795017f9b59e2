use std::fmt;

/// File names: 64 hex digits (SHA-256 of the content) and the type's extension.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaName(String);

/// What we store, with the type it is served as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Jpeg,
    Png,
    Gif,
    Bmp,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Gif, Self::Bmp];

    fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
        }
    }
}

impl MediaName {
    #[cfg(feature = "media")]
    pub(crate) fn new(content_hash: &[u8; 32], kind: Kind) -> Self {
        let hex: String = content_hash.iter().map(|b| format!("{b:02x}")).collect();
        Self(format!("{hex}.{}", kind.extension()))
    }

    /// `None`: not the name of a file of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, _) = parts(text)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_hash.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Fixed by the extension; never what somebody claimed.
    pub fn content_type(&self) -> &'static str {
        parts(&self.0).map_or("application/octet-stream", |(_, kind)| kind.content_type())
    }
}

fn parts(text: &str) -> Option<(&str, Kind)> {
    let (hash, extension) = text.split_once('.')?;
    let kind = Kind::ALL.into_iter().find(|k| k.extension() == extension)?;
    Some((hash, kind))
}

impl fmt::Display for MediaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_make_are_names() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(MediaName::parse(&format!("{hash}.png")).map(|n| n.content_type()), Some("image/png"));
        for bad in
            [format!("{hash}.svg"), hash.clone(), format!("{}.png", hash.to_uppercase()), format!("{hash}0.png"), {
                format!("../{hash}.png")
            }]
        {
            assert_eq!(MediaName::parse(&bad), None, "{bad}");
        }
    }
}
