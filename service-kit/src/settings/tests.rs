#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Groups {
    database_url: SecretUrl,
}

impl Section for Groups {
    const NAME: &'static str = "groups";
    fn listen(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }
    fn internal_listen(&self) -> SocketAddr {
        self.listen()
    }
    fn database(&self) -> Option<(&SecretUrl, usize)> {
        Some((&self.database_url, 0))
    }
    fn development_defaults(&self) -> Vec<&'static str> {
        vec!["groups.key"]
    }
}

fn read(pairs: &[(&str, &str)]) -> Result<(), String> {
    let loaded = Loaded::from_pairs(pairs.iter().copied()).map_err(|e| e.to_string())?;
    let common = loaded.common().map_err(|e| e.to_string())?;
    loaded.section::<Groups>(&common).map(drop).map_err(|e| e.to_string())
}

const RONGCLOUD: [(&str, &str); 7] = [
    ("KITH__PUBLIC_BASE_URL", "http://localhost:8080"),
    ("KITH__APPS__KITH__ID", "kith"),
    ("KITH__APPS__KITH__SECRET", "s"),
    ("KITH__APPS__KITH__AUTH_TOKEN", "t"),
    ("KITH__APPS__KITH__RONGCLOUD__APP_KEY", "key"),
    ("KITH__APPS__KITH__RONGCLOUD__APP_SECRET", "secret"),
    ("KITH__APPS__KITH__RONGCLOUD__HOSTS", "https://api.cn.ronghub.com,http://127.0.0.1:1"),
];

#[test]
fn an_empty_token_is_none() {
    let loaded = Loaded::from_pairs([("KITH__INTERNAL__TOKEN", ""), ("KITH__GATEWAY__TOKEN", "")]).unwrap();
    let common = loaded.common().unwrap();
    assert!(!common.internal.has_token() && common.internal.token().matches(DEVELOPMENT_INTERNAL_TOKEN));
    assert!(common.gateway_token_is_development());
    let names = common.development_defaults();
    assert!(names.contains(&"internal.token") && names.contains(&"gateway.token"), "{names:?}");
}

#[test]
fn a_file_that_is_no_toml_is_told_without_its_lines() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "workers = 1\n[internal]\ntoken = \"Zq7\" Zq7\n").unwrap();
    let why = Loaded::read(Some(file.path())).unwrap_err().to_string();
    assert!(why.contains("line 3, column ") && why.contains(&file.path().display().to_string()), "{why}");
    assert!(!why.contains("Zq7") && why.lines().count() == 1, "{why}");
}

#[test]
fn behind_what_is_open_development_defaults_are_refused() {
    for open in [
        ("KITH__GATEWAY__LISTEN", "0.0.0.0:8080"),
        ("KITH__PUBLIC_BASE_URL", "https://im.example/kith"),
        ("KITH__PUBLIC_BASE_URL", "http://192.0.2.1:8080"),
        ("KITH__PUBLIC_BASE_URL", "http://localhost.example"),
    ] {
        let why = read(&[open]).unwrap_err();
        assert!(why.contains("groups.key") && why.contains("not a loopback address"), "{open:?}: {why}");
    }
    for closed in ["http://127.0.0.1:8080/kith", "http://localhost:1", "https://im.localhost", "http://[::1]:8080"] {
        read(&[("KITH__GATEWAY__LISTEN", "127.0.0.1:80"), ("KITH__PUBLIC_BASE_URL", closed)]).unwrap();
    }
}

#[test]
fn what_would_stop_the_start_is_found_and_named_before_without_its_secrets() {
    for (pair, says) in [
        (("KITH__GROUPS__DATABASE_URL", "mysql://u:Zq7@h/d"), "groups.database_url"),
        (("KITH__GROUPS__DATABASE_URL", "postgres://u:%Zq7@h/d"), "groups.database_url"),
        (("KITH__STATE__URL", "redis://:%Zq7@[::1/0"), "state.url"),
        (("KITH__STATE__URL", "redis://:Zq7@h/x"), "state.url"),
        (("KITH__INTERNAL__IM_AUTH", "127.0.0.1:9081"), "internal.im_auth"),
        (("KITH__INTERNAL__GROUPS", "http://h:1, ftp://h"), "internal.groups"),
        (("KITH__INTERNAL__TOKEN", "Zq7 é"), "internal.token"),
        (("KITH__GATEWAY__TOKEN", "Zq7\u{7f}"), "gateway.token"),
        (("KITH__INTERNAL__TOKEN__X", "Zq7"), "internal.token"),
        (("KITH__INTERNAL", "Zq7 \", expected `"), "internal"),
        (("KITH__LIMITS__APP_BURST", "Zq7, expected 7"), "limits.app_burst"),
        (("KITH__LIMITS__APP_BURST", "Zq7`Zq7"), "limits.app_burst"),
        (("KITH__LOG__FORMAT", "Zq7"), "log.format"),
        (("KITH__APPS__KITH__RONGCLOUD__HOSTS", "api.cn.ronghub.com"), "apps.kith.rongcloud.hosts"),
        (("KITH__APPS__KITH__RONGCLOUD__APP_KEY", "Zq7\n"), "apps.kith.rongcloud.app_key"),
    ] {
        let given = RONGCLOUD.iter().filter(|(name, _)| pair.0.contains("RONGCLOUD") && *name != pair.0).copied();
        let why = read(&given.chain([pair]).collect::<Vec<_>>()).unwrap_err();
        assert!(why.starts_with(says) && !why.contains("Zq7"), "{pair:?}: {why}");
    }
    read(&RONGCLOUD).unwrap();
    read(&[("KITH__STATE__URL", "redis://:p%40ss@h:1/0"), ("KITH__INTERNAL__GROUPS", "http://h:1,http://[::1]:2/")])
        .unwrap();
}
