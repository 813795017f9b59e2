//! Copies in the state store (design §4): which of two stays, and how long they last.

use service_kit::Code;
use service_kit::copies::Copies;
use service_kit::state::{State, Terms};
use service_kit::testkit::redis::{self, RedisServer};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const TERMS: Terms = Terms { over: true, within: Duration::from_secs(1), life: Duration::from_secs(5) };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// In memory, and in Redis.
async fn stores() -> [State; 2] {
    [State::memory(), State::open(&redis::settings(&redis::shared())).await.unwrap()]
}

fn revision(n: u64) -> String {
    format!(r#"{{"revision":{n},"name":"{{\"revision\":99"}}"#)
}

#[tokio::test]
async fn a_copy_goes_over_none_of_a_later_revision_and_a_filled_one_over_none() {
    for state in stores().await {
        let put = async |over, copy: &str| {
            state.put_copies(&[("k", copy)], Instant::now(), Terms { over, ..TERMS }).await.unwrap();
            state.get("k").await.unwrap().unwrap()
        };
        // Nobody, and copies that tell no revision, are earlier than all that do.
        for (over, copy, stays) in [
            (false, String::new(), String::new()),
            (true, revision(9), revision(9)),
            (true, revision(10), revision(10)),
            (true, revision(9), revision(10)),
            (false, revision(11), revision(10)),
            (true, "0".into(), revision(10)),
            (true, revision(10).replace("name", "sign"), revision(10).replace("name", "sign")),
            (true, revision(11), revision(11)),
        ] {
            assert_eq!(put(over, &copy).await, stays, "{over} {copy}");
        }
        state.delete("k").await.unwrap();
        assert_eq!(put(true, "0").await, "0");
        assert_eq!(put(true, "2").await, "2");
        assert_eq!(put(false, "0").await, "2");
    }
}

#[tokio::test]
async fn a_copys_time_begins_when_it_was_true_and_soon_it_is_too_late_for_it() {
    for state in stores().await {
        let ago = |age| Instant::now().checked_sub(age).unwrap();
        let terms = Terms { life: ms(1000), ..TERMS };
        for over in [true, false] {
            let late = state.put_copies(&[("k", "1")], ago(ms(1100)), Terms { over, ..terms }).await;
            assert_eq!(late.unwrap_err().code(), Code::Unreachable);
            assert_eq!(state.get("k").await.unwrap(), None);
            state.put_copies(&[("k", "1")], ago(ms(700)), Terms { over, ..terms }).await.unwrap();
            assert_eq!(state.get("k").await.unwrap().as_deref(), Some("1"));
            sleep(ms(350)).await;
            assert_eq!(state.get("k").await.unwrap(), None, "it lasts a second from when it was true");
        }
    }
}

/// Else what was all read in one burst would all be read in the next, every 5 s.
#[tokio::test]
async fn copies_of_one_read_end_together_and_those_of_many_do_not() {
    let state = State::memory();
    let copies = Copies::new(state.clone());
    let reads: Vec<[String; 2]> = (0..64).map(|n| [format!("{n}a"), format!("{n}b")]).collect();
    let start = Instant::now();
    for read in &reads {
        copies.fill(&read.each_ref().map(|key| (key, "")), Instant::now()).await;
    }
    // The first end after three quarters of 5 s.
    sleep(ms(4400).saturating_sub(start.elapsed())).await;
    let mut alive = 0;
    for read in &reads {
        match state.get_many(read).await.unwrap().as_slice() {
            [Some(_), Some(_)] => alive += 1,
            found => assert_eq!(found, [None, None]),
        }
    }
    assert!((1..64).contains(&alive), "{alive}");
    sleep(ms(5050).saturating_sub(start.elapsed())).await;
    assert_eq!(state.get_many(&reads.concat()).await.unwrap(), vec![None; 128]);
}

/// Nor after an idle connection has been told the time again, and again.
#[tokio::test]
async fn what_lay_in_a_frozen_redis_is_no_copy_when_it_goes_on() {
    let server = RedisServer::start();
    let settings = redis::settings(&server.url());
    let state = State::open(&settings).await.unwrap();
    sleep(ms(1200)).await;
    let copies = Copies::new(state.clone());
    copies.overwrite(&[("before", "0")]).await;
    copies.fill(&[("filled before", "0")], Instant::now()).await;
    assert_eq!(state.get_many(&["before", "filled before"]).await.unwrap(), [Some("0".into()), Some("0".into())]);
    server.pause();
    let start = Instant::now();
    tokio::join!(copies.overwrite(&[("changed", "0")]), copies.fill(&[("filled", "0")], start));
    sleep(ms(1500).saturating_sub(start.elapsed())).await;
    server.resume();
    sleep(ms(300)).await;
    for name in ["changed", "filled"] {
        let found = server.command(&format!("GET {}{name}", settings.prefix));
        assert_eq!(found.as_deref(), Some("$-1"), "{name}");
    }
}
