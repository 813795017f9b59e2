//! Contract §3 where the system app's IM provider is RongCloud: tokens and profiles.

use crate::client::WRONG;
use crate::groups::{PASSWORD, execute};
use crate::rongcloud::{BASE, SOON, outbox, stack, until};
use crate::stack::name;
use crate::tusers::{done, md5};
use serde_json::json;
use service_kit::testkit::rongcloud::{FakeRongCloud, Mood, dead_host};
use std::time::{Duration, Instant};

fn text(body: &serde_json::Value) -> String {
    body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_are_rongclouds_and_are_accepted_as_issued_until_force_logout() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let user = kith.person().await;
    kith.update(&user.uid, json!({"name": "名 字&", "icon": "http://x/y.png?a=b&c"})).await.ok_b();
    let token = text(&kith.sign_in(&user.uid, PASSWORD).await.ok_c());
    assert!(token.contains('@'), "{token}");
    assert_eq!(fake.world().users[&user.uid], ("名 字&".to_owned(), "http://x/y.png?a=b&c".to_owned()));
    // Family B's are builtin all the same, and a RongCloud token is none of them.
    let builtin = kith.token(&user.uid, 1).await;
    assert_eq!(builtin.split('.').count(), 3);
    kith.parse(&builtin).await.ok_b();
    assert_ne!(kith.parse(&token).await.json()["errCode"], json!(0));
    // Both are accepted by both services of family C, as often as one likes.
    let sync = async |token: &str| kith.form("/im/group_sync/", &[("username", &user.uid), ("token", token)]).await;
    let sign_in =
        async |token: &str| kith.form("/im/user_get_token/", &[("username", &user.uid), ("token", token)]).await;
    for _ in 0..2 {
        sync(&token).await.ok_c();
        sign_in(&token).await.ok_c();
        sync(&builtin).await.ok_c();
    }
    // Not for somebody else, not with a character changed.
    let other = kith.person().await;
    kith.form("/im/group_sync/", &[("username", &other.uid), ("token", &token)]).await.fails_c(WRONG);
    sync(&format!("{token}x")).await.fails_c(WRONG);
    // The customer service call may give a token again that lives; user_get_token gives a new one.
    let desk = async || {
        let pairs = [("username", user.uid.as_str()), ("password", PASSWORD)];
        text(&kith.form("/im/customer_service_get_info/", &pairs).await.ok_c())
    };
    let again = desk().await;
    assert_eq!(desk().await, again);
    assert_ne!(text(&kith.sign_in(&user.uid, PASSWORD).await.ok_c()), token);
    kith.force_logout(&user.uid, 0).await.ok_b();
    sync(&token).await.fails_c(WRONG);
    sign_in(&again).await.fails_c(WRONG);
    sync(&again).await.fails_c(WRONG);
    // A dead one is never given again.
    let new = desk().await;
    assert_ne!(new, again);
    sync(&new).await.ok_c();
    assert_eq!(fake.world().bad_signatures, 0);
}

#[tokio::test]
async fn rongcloud_tokens_count_for_token_days() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let user = kith.person().await;
    let token = text(&kith.sign_in(&user.uid, PASSWORD).await.ok_c());
    let sign_in = async || kith.form("/im/user_get_token/", &[("username", &user.uid), ("token", &token)]).await;
    sign_in().await.ok_c();
    let db = stack.im_auth_db().await;
    let now = service_kit::clock::Clock::system().unix_seconds();
    let life = crate::groups::number(&db, "SELECT max(expires_at) AS n FROM tokens WHERE text IS NOT NULL").await - now;
    assert!((7 * 86_400 - 60..=7 * 86_400).contains(&life), "{life}");
    execute(&db, &format!("UPDATE tokens SET expires_at = {} WHERE text IS NOT NULL", now + 2)).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    sign_in().await.fails_c(WRONG);
    db.close().await;
}

#[tokio::test]
async fn an_empty_name_is_the_uid_to_the_provider_only() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let user = kith.person().await;
    kith.sign_in(&user.uid, PASSWORD).await.ok_c();
    assert_eq!(fake.world().users[&user.uid], (user.uid.clone(), String::new()));
    assert_eq!(kith.userinfo(&user.uid).await.ok_c()["nickname"], json!(""));
}

#[tokio::test]
async fn profile_changes_are_told_once_a_token_was_issued() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let (user, unknown) = (kith.person().await, kith.person().await);
    kith.sign_in(&user.uid, PASSWORD).await.ok_c();
    let told = async |name: &str, portrait: &str| {
        until(name, SOON, async || fake.world().users[&user.uid] == (name.to_owned(), portrait.to_owned())).await;
    };
    kith.update(&unknown.uid, json!({"name": "nobody asked"})).await.ok_b();
    kith.update(&user.uid, json!({"name": "新名"})).await.ok_b();
    told("新名", "").await;
    let ours = format!("{}.jpg", "0b".repeat(32));
    kith.update(&user.uid, json!({"icon": ours})).await.ok_b();
    told("新名", &format!("{BASE}/media/{ours}")).await;
    // A cleared name is sent as the uid.
    kith.update(&user.uid, json!({"name": ""})).await.ok_b();
    told(&user.uid, &format!("{BASE}/media/{ours}")).await;
    // Other fields are none of its business.
    let calls = fake.world().calls.len();
    kith.update(&user.uid, json!({"mobile": "1", "gender": 2})).await.ok_b();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(fake.world().calls.len(), calls);
    assert!(!fake.world().users.contains_key(&unknown.uid));
    // Down: the change is made all the same, and told later.
    fake.mood(Mood::Refuses(503, 503));
    let began = Instant::now();
    kith.update(&user.uid, json!({"name": "later"})).await.ok_b();
    assert!(began.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    fake.mood(Mood::Kind);
    told("later", &format!("{BASE}/media/{ours}")).await;
}

#[tokio::test]
async fn without_rongcloud_a_token_is_refused_clearly_and_within_2_s() {
    let mut fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let user = kith.person().await;
    let timed = async |reason: &str| {
        let began = Instant::now();
        let answer = kith.sign_in(&user.uid, PASSWORD).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        answer.fails_c(reason);
    };
    for mood in
        [Mood::Slow(Duration::from_secs(9)), Mood::Refuses(500, 1000), Mood::Refuses(429, 1008), Mood::CutsShort]
    {
        fake.mood(mood);
        timed("the IM provider is not reachable: try again").await;
    }
    fake.mood(Mood::Refuses(401, 1004));
    timed("the IM provider refused the request").await;
    fake.stop();
    timed("the IM provider is not reachable: try again").await;
    fake.start_again();
    fake.mood(Mood::Kind);
    kith.sign_in(&user.uid, PASSWORD).await.ok_c();
}

#[tokio::test]
async fn a_dead_first_host_is_nobodys_concern() {
    let fake = FakeRongCloud::start();
    let stack = stack(&format!("{},{}", dead_host(), fake.url()), &[]).await;
    let kith = stack.client();
    let user = kith.person().await;
    for _ in 0..5 {
        kith.sign_in(&user.uid, PASSWORD).await.ok_c();
    }
}

#[tokio::test]
async fn a_portrait_longer_than_rongcloud_takes_is_left_out_there_and_kept_here() {
    let fake = FakeRongCloud::start();
    let stack = stack(&fake.url(), &[]).await;
    let kith = stack.client();
    let key = name("k");
    let uid = md5(&key);
    let set = async |portrait: &str| {
        let pairs = [("tuser_key", key.as_str()), ("name", "n"), ("portrait_uri", portrait)];
        kith.form("/tu_rc_sync_urb_from_hp.action", &pairs).await.is(done());
    };
    let told = async |portrait: &str| {
        until(portrait, SOON, async || fake.world().users[&uid].1 == portrait).await;
    };
    // An icon holds 1024 characters, RongCloud takes 1024 bytes.
    let longest = format!("http://h/{}", "p".repeat(1015));
    let (too_long, other) = (format!("{}图", "p".repeat(1023)), "图".repeat(1024));
    assert_eq!(longest.len(), 1024);
    set(&too_long).await;
    kith.urt(&key, &[]).await.ok_a();
    assert_eq!(fake.world().users[&uid], ("n".to_owned(), String::new()));
    for (portrait, shown) in
        [(longest.as_str(), longest.as_str()), (&other, ""), ("http://p", "http://p"), (&too_long, "")]
    {
        set(portrait).await;
        told(shown).await;
        assert_eq!(kith.usr(&[("tuser_key", &key)]).await.ok_a()["portraitUri"], portrait);
    }
    assert_eq!(outbox(&stack, &["list"]).lines().count(), 1);
}

/// Two apps, each with a RongCloud of its own; one of them takes everything and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_whose_rongcloud_is_a_black_hole_holds_up_no_other_app() {
    const USERS: usize = 200;
    let (hole, healthy) = (FakeRongCloud::start(), FakeRongCloud::start());
    let url = healthy.url();
    let other = [
        ("KITH__APPS__OTHER__ID", "other"),
        ("KITH__APPS__OTHER__SECRET", "other-secret"),
        ("KITH__APPS__OTHER__AUTH_TOKEN", "other-token"),
        ("KITH__APPS__OTHER__RONGCLOUD__APP_KEY", "rc-key"),
        ("KITH__APPS__OTHER__RONGCLOUD__APP_SECRET", "rc-secret"),
        ("KITH__APPS__OTHER__RONGCLOUD__HOSTS", url.as_str()),
    ];
    let stack = stack(&hole.url(), &other).await;
    let kith = stack.client();
    let keys: Vec<String> = (0..USERS).map(|_| name("k")).collect();
    // Few at once, and again where the machine is too busy: this is not about how much it can take.
    let everywhere = async |app: &str, more: &[(&str, &str)]| {
        let pairs = [&[("app_id", app)], more].concat();
        for some in keys.chunks(4) {
            let calls = some.iter().map(async |key| {
                while match more {
                    [] => kith.urt(key, &pairs).await,
                    _ => kith.sync_basics(key, &pairs).await,
                }
                .json()["rc"]
                    != "1"
                {}
            });
            futures_util::future::join_all(calls).await;
        }
    };
    everywhere("", &[]).await;
    everywhere("other", &[]).await;
    hole.mood(Mood::Slow(Duration::from_secs(60)));
    everywhere("", &[("name", "new")]).await;
    everywhere("other", &[("name", "new")]).await;
    let told = |fake: &FakeRongCloud| {
        let world = fake.world();
        keys.iter().filter(|key| world.users[&md5(key)].0 == "new").count()
    };
    until("the healthy app's are told", Duration::from_secs(10), async || told(&healthy) == USERS).await;
    assert!(told(&hole) < USERS, "no black hole");
    hole.mood(Mood::Kind);
    until("the other's too", Duration::from_secs(40), async || told(&hole) == USERS).await;
    until("all are settled", Duration::from_secs(40), async || outbox(&stack, &["list"]).lines().count() == 1).await;
}
