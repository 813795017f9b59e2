//! What a database URL must look like, checked by ourselves before anything else reads it: libpq quotes what it does
//! not understand, and that may be a password or, where one holds a `/` or `@`, a part of it.

/// What is wrong with `url`. The text quotes nothing of it.
pub(crate) fn check(url: &str) -> Result<(), &'static str> {
    if let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) {
        postgres(rest)
    } else if let Some(path) = url.strip_prefix("sqlite://") {
        sqlite(path)
    } else if url.contains(":memory:") {
        Err(IN_MEMORY)
    } else {
        Err("the url must begin with postgres:// or sqlite://")
    }
}

const IN_MEMORY: &str = "an in-memory SQLite database has one connection only, and we need several: name a file";

fn sqlite(path: &str) -> Result<(), &'static str> {
    if path.contains(":memory:") {
        Err(IN_MEMORY)
    } else if path.is_empty() || path.ends_with('/') {
        Err("sqlite:// needs a file: sqlite:///absolute/file or sqlite://relative/file")
    } else if path.contains(['?', '\0']) {
        Err("sqlite:// takes a file name and no parameters")
    } else {
        Ok(())
    }
}

/// As libpq reads it: `[user[:password]@][host[:port],…][/database][?key=value&…]`.
fn postgres(rest: &str) -> Result<(), &'static str> {
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("the url holds a space or a control character, which must be percent-encoded");
    }
    percent(rest)?;
    // libpq ends user and password at the first of these two, a `?` before them is none of its business.
    let (login, place) = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => (&rest[..at], &rest[at + 1..]),
        _ => ("", rest),
    };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    if login.contains('?') || hosts.contains('@') || database.contains('@') || query.contains('@') && login.is_empty() {
        return Err("in user, password and parameters / ? @ must be percent-encoded (%2F %3F %40)");
    }
    for host in hosts.split(',') {
        let port = if let Some(v6) = host.strip_prefix('[') {
            let (address, port) = v6.split_once(']').ok_or("the url has an IPv6 address without its ]")?;
            let plain = |b: u8| b.is_ascii_hexdigit() || b":.%".contains(&b);
            // A zone behind a percent sign may be any name.
            if address.is_empty() || !address.bytes().take_while(|b| *b != b'%').all(plain) {
                return Err("the url has [] without an IPv6 address in them");
            }
            match port.strip_prefix(':') {
                Some(port) => port,
                None if port.is_empty() => "",
                None => return Err("the url has more than a port behind an IPv6 address"),
            }
        } else {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._%".contains(&b)) {
                return Err("the url's host is none (in user and password : / ? # @ must be percent-encoded)");
            }
            port
        };
        if !port.is_empty() && !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err("the url's port is none (in user and password : / ? # @ must be percent-encoded)");
        }
    }
    if query.split('&').any(|parameter| !parameter.is_empty() && parameter.matches('=').count() != 1) {
        return Err("the url's parameters must be key=value, with & between them");
    }
    Ok(())
}

fn percent(text: &str) -> Result<(), &'static str> {
    for part in text.split('%').skip(1) {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if hex.is_none_or(|hex| hex == "00") {
            return Err("the url has a % that no two hex digits follow: a % itself is %25");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_libpq_reads_are_let_through() {
        for good in [
            "postgres://",
            "postgres:///d",
            "postgres://h",
            "postgresql://u:p%40%25@h:5432/d?sslmode=require&application_name=a%20b",
            "postgres://u:p:q#r@h1:1,h2:2,[::1]:3/d?target_session_attrs=read-write",
            "postgres://u@[fe80::1%25eth0]/d",
            "postgres://%2Fvar%2Frun%2Fpostgresql/d?user=kith",
            "sqlite:///var/lib/k.db",
            "sqlite://data/k.db",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_the_url() {
        for bad in [
            "postgres://u:s3cr%zzZq7@h/d",
            "postgres://u:s3crZq7%@h/d",
            "postgres://u:s3crZq7%00@h/d",
            "postgres://u:s3crZq7@[::1/d",
            "postgres://u:s3crZq7@[]/d",
            "postgres://u:s3crZq7@[::1]x/d",
            "postgres://u:s3cr/Zq7@h/d",
            "postgres://u:s3cr@Zq7@h/d",
            "postgres://u:s3cr@x/Zq7@h/d",
            "postgres://u:s3cr?Zq7@h/d",
            "postgres://u:s3cr Zq7@h/d",
            "postgres://u:p@h:Zq7/d",
            "postgres://u:p@h:70000/Zq7",
            "postgres://u:p@h/d?password=Zq7=",
            "postgres://u:p@h/d?passwordZq7",
            "mysql://u:Zq7@h/d",
            "Zq7",
            "sqlite://Zq7/",
            "sqlite://Zq7?x",
            "sqlite://:memory:Zq7",
        ] {
            let text = check(bad).err().unwrap_or_default();
            assert!(!text.is_empty() && !text.contains("Zq7") && !text.contains("s3cr"), "{bad}: {text}");
        }
    }
}
