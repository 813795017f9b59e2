//! The lock-out's counts (design §5.4), without passwords; and while the state store is away.

use service_kit::auth::Lockout;
use service_kit::state::State;
use service_kit::testkit::redis::{self, RedisServer};
use shared_models::Uid;
use std::net::IpAddr;

fn uid(name: &str) -> Uid {
    Uid::new(name).unwrap()
}

fn address(n: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + n))
}

async fn fail(lockout: &Lockout, name: &str, from: IpAddr, times: u32) {
    for _ in 0..times {
        lockout.failed(&uid(name), from, "").await;
    }
}

#[tokio::test]
async fn each_count_has_its_limit() {
    let lockout = Lockout::new(State::memory(), vec!["10.0.9.0/24".parse().unwrap()]);
    // 10 for one username from one address.
    fail(&lockout, "a", address(1), 9).await;
    assert!(!lockout.is_locked(&uid("a"), address(1), false).await);
    fail(&lockout, "a", address(1), 1).await;
    assert!(lockout.is_locked(&uid("a"), address(1), false).await);
    assert!(lockout.is_locked(&uid("a"), address(1), true).await, "a known address falls under this rule too");
    assert!(!lockout.is_locked(&uid("a"), address(2), false).await);
    assert!(!lockout.is_locked(&uid("b"), address(1), false).await);
    // 100 for one username.
    for n in 2..11 {
        fail(&lockout, "a", address(n), 9).await;
    }
    fail(&lockout, "a", address(12), 8).await;
    assert!(!lockout.is_locked(&uid("a"), address(20), false).await);
    fail(&lockout, "a", address(12), 1).await;
    assert!(lockout.is_locked(&uid("a"), address(20), false).await);
    assert!(!lockout.is_locked(&uid("a"), address(20), true).await, "a known address does not");
    // 300 from one address, but from those that many share.
    for (n, from) in [(0, address(50)), (1, address(0x0900 + 7))] {
        for user in 0..34 {
            fail(&lockout, &format!("u{n}-{user}"), from, 9).await;
        }
    }
    assert!(lockout.is_locked(&uid("other"), address(50), false).await);
    assert!(!lockout.is_locked(&uid("other"), address(50), true).await, "a known address does not");
    assert!(!lockout.is_locked(&uid("other"), address(0x0900 + 7), false).await);
}

#[tokio::test]
async fn failures_are_counted_in_the_process_while_the_store_is_away() {
    let mut server = RedisServer::start();
    let state = State::open(&redis::settings(&server.url())).await.unwrap();
    let lockout = Lockout::new(state, Vec::new());
    fail(&lockout, "a", address(1), 5).await;
    server.kill();
    fail(&lockout, "a", address(1), 9).await;
    assert!(!lockout.is_locked(&uid("a"), address(1), false).await, "the store's own are not to be had now");
    fail(&lockout, "a", address(1), 1).await;
    assert!(lockout.is_locked(&uid("a"), address(1), false).await);
    server.start_again();
    let began = std::time::Instant::now();
    while !lockout.is_locked(&uid("a"), address(1), false).await {
        assert!(began.elapsed().as_secs() < 5);
    }
    assert!(lockout.is_locked(&uid("a"), address(1), false).await, "and count on when it is back");
}

#[tokio::test]
async fn an_attempt_that_is_made_again_is_counted_once_with_and_without_the_store() {
    let mut server = RedisServer::start();
    let state = State::open(&redis::settings(&server.url())).await.unwrap();
    let lockout = Lockout::new(state, Vec::new());
    for (name, store_is_away) in [("a", false), ("b", true)] {
        if store_is_away {
            server.kill();
        }
        for n in 0..9 {
            lockout.failed(&uid(name), address(1), &format!("{name}{n}")).await;
            lockout.failed(&uid(name), address(1), &format!("{name}{n}")).await;
        }
        assert!(!lockout.is_locked(&uid(name), address(1), false).await, "{name}");
        lockout.failed(&uid(name), address(1), &format!("{name}9")).await;
        assert!(lockout.is_locked(&uid(name), address(1), false).await, "{name}");
    }
}

/// By the store's own time, which a test cannot turn: the failures are made older instead.
#[tokio::test]
async fn failures_count_for_15_minutes() {
    let server = RedisServer::start();
    let lockout = Lockout::new(State::open(&redis::settings(&server.url())).await.unwrap(), Vec::new());
    fail(&lockout, "a", address(1), 10).await;
    let age = |seconds: u32| {
        let script = "for _, k in ipairs(redis.call('KEYS', '*fail:*')) do \
            local m = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') \
            for i = 1, #m, 2 do redis.call('ZADD', k, string.format('%.0f', m[i + 1] - ARGV[1] * 1000000), m[i]) end \
            end return #redis.call('KEYS', '*fail:*')";
        assert_eq!(server.command(&format!("EVAL \"{script}\" 0 {seconds}")).as_deref(), Some(":3"));
    };
    assert!(lockout.is_locked(&uid("a"), address(1), false).await);
    age(14 * 60 + 45);
    assert!(lockout.is_locked(&uid("a"), address(1), false).await, "a quarter of a minute before");
    age(16);
    assert!(!lockout.is_locked(&uid("a"), address(1), false).await, "and a second after");
}
