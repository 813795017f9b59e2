//! Random interleavings against the model, as followers see them.

use crate::follower::{Follower, Load, RequestFollower};
use crate::helpers::{Client, EXAMPLE, Service};
use crate::model::{Model, Op, User};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::collections::BTreeMap;

const USERS: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Do(Op),
    /// A follower of this owner reads a page of this size.
    Read {
        owner: User,
        follower: usize,
        size: usize,
    },
    ReadRequests {
        owner: User,
        size: usize,
    },
    /// A follower starts again from one of its earlier cursors.
    Rewind {
        owner: User,
        follower: usize,
        to: usize,
    },
    /// The clock goes on, stands still or steps back.
    Clock(i64),
}

fn user() -> impl Strategy<Value = User> {
    0..USERS
}

fn any_step() -> impl Strategy<Value = Step> {
    let text = || "[a-c张]{0,3}";
    let op = prop_oneof![
        5 => (user(), user(), text()).prop_map(|(who, whom, message)| Op::Add { who, whom, message }),
        4 => (user(), user()).prop_map(|(who, asker)| Op::Agree { who, asker }),
        2 => (user(), user(), text()).prop_map(|(who, asker, reason)| Op::Refuse { who, asker, reason }),
        3 => (user(), user(), any::<bool>()).prop_map(|(who, friend, both)| Op::Del { who, friend, both }),
        2 => (user(), user(), text()).prop_map(|(who, friend, remark)| Op::Remark { who, friend, remark }),
        1 => prop::collection::vec((user(), user()), 1..4).prop_map(Op::Import),
        1 => (user(), any::<bool>()).prop_map(|(who, verify)| Op::Verify { who, verify }),
    ];
    prop_oneof![
        10 => op.prop_map(Step::Do),
        5 => (user(), 0..2usize, 1..4usize).prop_map(|(owner, follower, size)| Step::Read { owner, follower, size }),
        3 => (user(), 1..4usize).prop_map(|(owner, size)| Step::ReadRequests { owner, size }),
        1 => (user(), 0..2usize, any::<usize>()).prop_map(|(owner, follower, to)| Step::Rewind { owner, follower, to }),
        3 => prop_oneof![Just(0), 1..50i64, -5_000..0i64, Just(3_600_000)].prop_map(Step::Clock),
    ]
}

async fn run(client: &Client, op: &Op, name: &impl Fn(User) -> String) -> String {
    let pair = |a: User, b: User| json!({"useracc": name(a), "friendUseracc": name(b)});
    let with = |a: User, b: User, key: &str, value: &str| {
        let mut body = pair(a, b);
        body[key] = json!(value);
        body
    };
    let (call, body) = match op {
        Op::Add { who, whom, message } => ("addFriend", with(*who, *whom, "message", message)),
        Op::Agree { who, asker } => ("friendAgree", pair(*who, *asker)),
        Op::Refuse { who, asker, reason } => ("friendRefuse", with(*who, *asker, "message", reason)),
        Op::Del { who, friend, both } => ("delFriend", with(*who, *friend, "allDel", if *both { "1" } else { "0" })),
        Op::Remark { who, friend, remark } => ("setFriendRemark", with(*who, *friend, "remarkName", remark)),
        Op::Import(pairs) => {
            let list: Vec<_> = pairs.iter().map(|(a, b)| pair(*a, *b)).collect();
            ("importFriends", json!({ "friendsList": list }))
        }
        Op::Verify { who, verify } => {
            ("setUserVerify", json!({"useracc": name(*who), "addVerify": if *verify { "1" } else { "0" }}))
        }
    };
    client.code(call, body).await
}

async fn check(client: &Client, case: u64, mut model: Model, steps: &[Step]) {
    client.set_clock(EXAMPLE);
    let name = |user: User| format!("c{case}-{user}");
    let followers = |owner| [Load::Pages, Load::All].map(|load| Follower::new(&name(owner), load));
    let mut followers: Vec<_> = (0..USERS).map(followers).collect();
    let mut readers: Vec<_> = (0..USERS).map(|owner| RequestFollower::new(&name(owner))).collect();
    for step in steps {
        match step {
            Step::Do(op) => {
                let expected = model.apply(op);
                assert_eq!(run(client, op, &name).await, expected, "{op:?}");
            }
            Step::Read { owner, follower, size } => drop(followers[*owner][*follower].step(client, *size).await),
            Step::ReadRequests { owner, size } => drop(readers[*owner].step(client, *size).await),
            Step::Rewind { owner, follower, to } => followers[*owner][*follower].rewind(*to),
            Step::Clock(by) => client.move_clock(*by),
        }
    }
    for owner in 0..USERS {
        let of_owner = model.friends.iter().filter(|((o, _), _)| *o == owner);
        let truth: BTreeMap<_, _> = of_owner.map(|((_, f), seen)| (name(*f), seen.clone())).collect();
        let current: BTreeMap<_, _> = truth
            .iter()
            .filter(|(_, (active, _))| *active)
            .map(|(f, (_, remark))| (f.clone(), remark.clone()))
            .collect();
        for follower in &mut followers[owner] {
            follower.finish(client, 2).await;
            assert_eq!(follower.current(), current, "{follower:?}");
        }
        // Whoever asks now, for all.
        let mut fresh = Follower::new(&name(owner), Load::Pages);
        fresh.finish(client, 100).await;
        assert_eq!(fresh.friends, truth);
        let mut fresh = Follower::new(&name(owner), Load::All);
        fresh.step(client, 1).await;
        assert_eq!(fresh.current(), current);

        let of_owner = model.requests.iter().filter(|((o, ..), _)| *o == owner);
        let truth: BTreeMap<_, _> = of_owner.map(|((_, f, asked), seen)| ((name(*f), *asked), seen.clone())).collect();
        readers[owner].finish(client, 3).await;
        // A refused row vanishes unreported: the follower may have more, never less.
        for (key, seen) in &truth {
            assert_eq!(readers[owner].requests.get(key), Some(seen), "{key:?}");
        }
        let mut fresh = RequestFollower::new(&name(owner));
        fresh.finish(client, 1).await;
        assert_eq!(fresh.requests, truth);
    }
}

fn interleavings(service: &Service, model: &Model) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    let steps = prop::collection::vec(any_step(), 1..120);
    let outcome = runner.run(&steps, |steps| {
        case.set(case.get() + 1);
        // Any panic is a failed case, which is then made smaller.
        runtime.block_on(check(&service.client, case.get(), model.clone(), &steps));
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn lists_and_their_followers_equal_the_model() {
    let model = Model { max_friends: 5_000, max_pending: 50_000, ..Model::default() };
    interleavings(&Service::start(), &model);
}

#[test]
fn limits_hold_whatever_happens() {
    let service = Service::with(|s| {
        s.max_friends = 2;
        s.max_pending = 3;
    });
    let model = Model { max_friends: 2, max_pending: 3, ..Model::default() };
    interleavings(&service, &model);
}

/// The spike's flow: stamps are unique even where the clock never moves, so pages of one lose nothing.
#[tokio::test]
async fn a_clock_that_stands_still_splits_no_page() {
    let service = Service::start();
    let client = &service.client;
    let pairs: Vec<_> = (0..50).map(|n| ("hub".to_owned(), format!("u{n}"))).collect();
    assert_eq!(client.import(&pairs).await, "000000");
    client.move_clock(-3_600_000);
    for n in 0..25 {
        let body = json!({"useracc": "hub", "friendUseracc": format!("u{n}"), "allDel": "1"});
        assert_eq!(client.code("delFriend", body).await, "000000");
    }
    let mut follower = Follower::new("hub", Load::Pages);
    let mut pages = 0;
    while follower.step(client, 1).await {
        pages += 1;
    }
    assert_eq!((pages, follower.friends.len(), follower.current().len()), (50, 50, 25));
}
