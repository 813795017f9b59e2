//! Links to what we serve.

/// An icon as clients are shown it. Of our own media only the file's name is stored, and the link is built anew for
/// each answer; anything else is shown as it came, without a scheme too (document 003's own example).
pub fn icon_link(icon: &str, base_url: &str) -> String {
    if is_media_name(icon) { format!("{base_url}/media/{icon}") } else { icon.to_owned() }
}

/// `<content hash>.<ext>` (design §4).
fn is_media_name(icon: &str) -> bool {
    let (hash, kind) = icon.split_once('.').unwrap_or_default();
    let is_hash = hash.len() >= 32 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hash && ["jpg", "jpeg", "png", "gif", "bmp"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_media_become_links() {
        let ours = format!("{}.png", "0a".repeat(32));
        assert_eq!(icon_link(&ours, "https://h"), format!("https://h/media/{ours}"));
        for other in ["", "a.png", "http://x/y.png", "resource.haorenao.cn/static/xx1.png", &"0a".repeat(32)] {
            assert_eq!(icon_link(other, "https://h"), other);
        }
    }
}
