//! The RongCloud client against a server of ours.

use service_kit::Code;
use service_kit::Error;
use service_kit::clock::Clock;
use service_kit::outbox::Options;
use service_kit::rongcloud::{RongCloud, Trouble};
use service_kit::settings::RongCloudSettings;
use service_kit::testkit::rongcloud::{FakeRongCloud, Mood, dead_host};
use std::time::{Duration, Instant};

fn client(settings: &RongCloudSettings) -> RongCloud {
    RongCloud::new(settings, Clock::system())
}

#[tokio::test]
async fn calls_are_signed_and_their_forms_encoded() {
    let fake = FakeRongCloud::start();
    let rc = client(&fake.settings());
    let token = rc.get_token("u1", "张 三&=+%", "http://h/a?b=c&d=e#f").await.unwrap();
    assert!(token.expose().contains('@'));
    let info = rc.user_info("u1").await.unwrap();
    assert_eq!((info.user_name.as_str(), info.user_portrait.as_str()), ("张 三&=+%", "http://h/a?b=c&d=e#f"));
    rc.refresh_user("u1", "名", "").await.unwrap();
    assert_eq!(fake.world().users["u1"], ("名".to_owned(), String::new()));
    rc.create_group(&["u1"], "5", "群 & 组").await.unwrap();
    rc.join_group(&["u2", "u3"], "5", "群 & 组").await.unwrap();
    rc.quit_group(&["u3"], "5").await.unwrap();
    assert_eq!(fake.members(5).unwrap(), ["u1", "u2"]);
    assert_eq!(fake.world().groups["5"].0, "群 & 组");
    rc.sync_groups("u2", &[("7".into(), "七=&".into())]).await.unwrap();
    assert_eq!((fake.members(5).unwrap(), fake.members(7).unwrap()), (vec!["u1".to_owned()], vec!["u2".to_owned()]));
    assert_eq!(fake.world().groups["7"].0, "七=&");
    rc.dismiss_group("u1", "5").await.unwrap();
    assert_eq!(fake.members(5), None);
    assert_eq!(fake.world().bad_signatures, 0);
}

#[tokio::test]
async fn more_than_a_thousand_users_go_in_several_calls() {
    let fake = FakeRongCloud::start();
    let users: Vec<String> = (0..2500).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    client(&fake.settings()).join_group(&users, "1", "g").await.unwrap();
    assert_eq!(fake.members(1).unwrap().len(), 2500);
    assert_eq!(fake.world().calls.len(), 3);
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let fake = FakeRongCloud::start();
    let settings = RongCloudSettings { app_secret: service_kit::Secret::new("other"), ..fake.settings() };
    let refused = client(&settings).refresh_user("u", "n", "").await.unwrap_err();
    assert_eq!(refused, Trouble::Refused { code: 1004, text: "refused".into() });
    assert_eq!(Error::from(refused).code(), Code::ProviderRefused);
    assert_eq!(fake.world().bad_signatures, 1);
}

#[tokio::test]
async fn each_misbehaviour_has_its_meaning() {
    let fake = FakeRongCloud::start();
    let rc = client(&fake.settings());
    for (mood, expected) in [
        (Mood::Refuses(401, 1004), "refused"),
        (Mood::Refuses(429, 1008), "rate"),
        (Mood::Refuses(500, 1000), "away"),
        (Mood::Refuses(503, 503), "away"),
        (Mood::CutsShort, "away"),
    ] {
        fake.mood(mood);
        let got = match rc.join_group(&["u"], "1", "g").await.unwrap_err() {
            Trouble::Refused { .. } => "refused",
            Trouble::RateLimited => "rate",
            Trouble::Unavailable(_) => "away",
        };
        assert_eq!(got, expected, "{mood:?}");
    }
    // Not read to an end that never comes.
    fake.mood(Mood::Endless);
    let endless = rc.join_group(&["u"], "1", "g").await.unwrap_err();
    assert_eq!(endless, Trouble::Unavailable("an answer too long to be one".into()));
    fake.mood(Mood::Slow(Duration::from_secs(5)));
    let began = Instant::now();
    let late = rc.get_token("u", "n", "").await.unwrap_err();
    assert!(matches!(late, Trouble::Unavailable(_)), "{late:?}");
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_dead_first_host_is_left_for_the_next_and_that_is_remembered() {
    let fake = FakeRongCloud::start();
    let rc = client(&FakeRongCloud::settings_with(vec![dead_host(), fake.url()]));
    rc.get_token("u", "n", "").await.unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        rc.refresh_user("u", "n", "").await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_silent_or_faulty_first_host_leaves_time_for_the_next() {
    let (first, second) = (FakeRongCloud::start(), FakeRongCloud::start());
    for mood in [Mood::Slow(Duration::from_secs(5)), Mood::Refuses(502, 502), Mood::CutsShort] {
        first.mood(mood);
        let rc = client(&FakeRongCloud::settings_with(vec![first.url(), second.url()]));
        let began = Instant::now();
        rc.get_token("u", "n", "").await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(1200), "{mood:?}");
        let calls = first.world().calls.len();
        rc.get_token("u", "n", "").await.unwrap();
        assert_eq!(first.world().calls.len(), calls, "{mood:?}: the host that answered is asked first");
    }
}

#[tokio::test]
async fn a_refusal_is_not_asked_again_elsewhere() {
    let (first, second) = (FakeRongCloud::start(), FakeRongCloud::start());
    first.mood(Mood::Refuses(400, 1002));
    let rc = client(&FakeRongCloud::settings_with(vec![first.url(), second.url()]));
    assert!(matches!(rc.get_token("u", "n", "").await, Err(Trouble::Refused { code: 1002, .. })));
    assert!(second.world().calls.is_empty());
}

#[tokio::test]
async fn a_background_call_is_given_up_before_the_outbox_gives_the_delivery_up() {
    let fake = FakeRongCloud::start();
    fake.mood(Mood::Slow(Duration::from_secs(60)));
    let began = Instant::now();
    let late = client(&fake.settings()).refresh_user("u", "n", "").await.unwrap_err();
    assert!(matches!(late, Trouble::Unavailable(_)), "{late:?}");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5) && took < Options::default().delivery, "{took:?}");
}

#[tokio::test]
async fn in_the_background_too_the_next_host_is_asked_in_time() {
    let (first, second) = (FakeRongCloud::start(), FakeRongCloud::start());
    first.mood(Mood::Slow(Duration::from_secs(60)));
    let rc = client(&FakeRongCloud::settings_with(vec![dead_host(), first.url(), second.url()]));
    rc.join_group(&["u"], "1", "g").await.unwrap();
    assert_eq!(second.members(1).unwrap(), ["u"]);
}
