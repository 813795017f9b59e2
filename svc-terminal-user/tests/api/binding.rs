//! Sessions, codes and mappings: what needs a clock of its own, or two things at one moment.

use crate::world::{PASSWORD, World};
use service_kit::db::DbConn;
use service_kit::{Code, Result, Secret};
use shared_models::{Stamp, TuserKey, Uid};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use svc_terminal_user::domain::{Old, Replace, Session};
use svc_terminal_user::store::{mappings, users};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn key(name: &str) -> TuserKey {
    TuserKey::new(name).unwrap()
}

fn uid(name: &str) -> Uid {
    Uid::new(name).unwrap()
}

impl World {
    async fn signed_in(&self, user: &str) -> Session {
        let id = self.core.sign_in(uid(user), Secret::new(PASSWORD), HERE).await.unwrap();
        self.core.session(&id).await.unwrap().unwrap()
    }

    async fn code(&self, session: &Session) -> String {
        self.core.code_to_show(session).await.unwrap().code
    }

    async fn mapped(&self, user: &str) -> Option<String> {
        self.core.mapping(None, Some(uid(user))).await.unwrap().map(|(key, _)| key)
    }
}

#[tokio::test]
async fn signing_out_ends_all_codes_that_the_session_showed_and_nobody_elses() {
    let world = World::start().await;
    let (session, other) = (world.signed_in("alice").await, world.signed_in("alice").await);
    let (first, others) = (world.code(&session).await, world.code(&other).await);
    // Long enough for the page to show the next one, and not for the first to end.
    world.pass(Duration::from_secs(245));
    let second = world.code(&session).await;
    assert_ne!(first, second);
    world.core.sign_out(&session).await.unwrap();
    for code in [&first, &second] {
        let refused = world.core.bind(key("late"), code).await.unwrap_err();
        assert_eq!(refused.code(), Code::UnusableCode, "{}", refused.chain());
    }
    assert_eq!(world.mapped("alice").await, None);
    // As old as the first.
    world.core.bind(key("phone"), &others).await.unwrap();
    assert_eq!(world.mapped("alice").await.as_deref(), Some("phone"));
}

/// Whose answer was lost asks again; that somebody signed out meanwhile does not make his binding a failure.
#[tokio::test]
async fn the_key_that_used_a_code_may_send_it_again_after_the_session_has_ended() {
    let world = World::start().await;
    let session = world.signed_in("alice").await;
    let code = world.code(&session).await;
    world.core.bind(key("phone"), &code).await.unwrap();
    world.core.sign_out(&session).await.unwrap();
    world.core.bind(key("phone"), &code).await.unwrap();
    assert_eq!(world.core.bind(key("thief"), &code).await.unwrap_err().code(), Code::UnusableCode);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.core.bind(key("phone"), &code).await.unwrap_err().code(), Code::UnusableCode);
    assert_eq!(world.mapped("alice").await.as_deref(), Some("phone"));
}

#[tokio::test]
async fn a_code_shown_at_the_end_of_a_session_lives_its_five_minutes() {
    let world = World::start().await;
    let id = world.core.sign_in(uid("alice"), Secret::new(PASSWORD), HERE).await.unwrap();
    world.pass(Duration::from_secs(1790));
    let session = world.core.session(&id).await.unwrap().unwrap();
    let code = world.code(&session).await;
    world.pass(Duration::from_secs(20));
    assert!(world.core.session(&id).await.unwrap().is_none(), "the session has ended");
    world.core.bind(key("phone"), &code).await.unwrap();
    assert_eq!(world.mapped("alice").await.as_deref(), Some("phone"));
}

/// Does `change` while it holds the user's row, and in the middle of it starts `other`, which must wait for it.
async fn around<T: Send + 'static>(
    world: &World,
    held: &'static str,
    change: impl Fn(&mut DbConn) + Send + 'static,
    other: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T, Code> {
    let (holds, held_now) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let db = world.db.clone();
    let holder = tokio::spawn(async move {
        db.transaction(move |conn| {
            users::lock_users(conn, &[&key(held).im_uid()], true)?;
            holds.send(()).unwrap();
            wait.recv_timeout(Duration::from_secs(1)).unwrap();
            change(conn);
            Ok(())
        })
        .await
    });
    tokio::task::spawn_blocking(move || held_now.recv_timeout(Duration::from_secs(5)).unwrap()).await.unwrap();
    let other = tokio::spawn(other);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!other.is_finished(), "it waits for whoever holds the user");
    go_on.send(()).unwrap();
    holder.await.unwrap().unwrap();
    other.await.unwrap().map_err(|e| e.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_and_unbinding_wait_for_whoever_holds_the_user() {
    let world = Arc::new(World::start().await);
    for phone in ["phone", "other"] {
        world.core.register(key(phone)).await.unwrap();
    }
    let bind = async |phone: &'static str, held: &'static str| {
        let code = world.code(&world.signed_in("alice").await).await;
        let binding = world.clone();
        around(&world, held, |_| (), async move { binding.core.bind(key(phone), &code).await }).await
    };
    // The one who is bound, and the one who was.
    bind("phone", "phone").await.unwrap();
    bind("other", "phone").await.unwrap();
    assert_eq!(world.mapped("alice").await.as_deref(), Some("other"));
    let bound_at = world.core.bound_at(&uid("alice")).await.unwrap().unwrap();
    let unbinding = world.clone();
    let unbound = async move { unbinding.core.unbind(&uid("alice"), bound_at).await };
    around(&world, "other", |_| (), unbound).await.unwrap();
    assert_eq!(world.mapped("alice").await, None);
}

/// As a replacement that has looked at the mapping before somebody changes it.
async fn replaced_around(
    world: &Arc<World>,
    held: &'static str,
    change: impl Fn(&mut DbConn) + Send + 'static,
    request: Replace,
) -> Result<(), Code> {
    let asking = world.clone();
    around(world, held, change, async move { asking.core.replace(request).await }).await
}

fn replace(world: &World, old: Old) -> Replace {
    Replace { app_id: world.apps[0].clone(), old, new: key("new"), address: HERE }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_comes_in_between_takes_the_bare_keys_entitlement_away() {
    let world = Arc::new(World::start_with(false).await);
    world.core.register(key("phone")).await.unwrap();
    let bound = |conn: &mut DbConn| {
        mappings::replace_mapping(conn, &key("phone").im_uid(), &uid("alice"), Stamp(5)).unwrap();
    };
    let request = replace(&world, Old { key: Some(key("phone")), account: None });
    assert_eq!(replaced_around(&world, "phone", bound, request).await, Err(Code::WrongCredentials));
    assert!(world.core.status(world.apps[0].clone(), key("new")).await.unwrap().is_none(), "registers nobody");
    // With the password of the account it was bound to it is done; with another one's it is not.
    let with = |user: &str| Old { key: Some(key("phone")), account: Some((uid(user), Secret::new(PASSWORD))) };
    assert_eq!(world.core.replace(replace(&world, with("bob"))).await.unwrap_err().code(), Code::WrongCredentials);
    // Bound to somebody else in between.
    let bound = |conn: &mut DbConn| {
        mappings::replace_mapping(conn, &key("phone").im_uid(), &uid("bob"), Stamp(6)).unwrap();
    };
    let request = replace(&world, with("alice"));
    assert_eq!(replaced_around(&world, "phone", bound, request).await, Err(Code::WrongCredentials));
    world.core.replace(replace(&world, with("bob"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbinding_that_comes_in_between_takes_the_accounts_entitlement_away() {
    let world = Arc::new(World::start().await);
    let session = world.signed_in("alice").await;
    let code = world.code(&session).await;
    world.core.bind(key("phone"), &code).await.unwrap();
    // The newest of the chain is another user than the one who is bound.
    let next = Replace { new: key("next"), ..replace(&world, Old { key: Some(key("phone")), account: None }) };
    world.core.replace(next).await.unwrap();
    let bound_at = world.core.bound_at(&uid("alice")).await.unwrap().unwrap();
    let unbound = move |conn: &mut DbConn| {
        assert_eq!(mappings::delete_mapping(conn, &uid("alice"), bound_at).unwrap(), 1);
    };
    let account = || Some((uid("alice"), Secret::new(PASSWORD)));
    let request = replace(&world, Old { key: None, account: account() });
    assert_eq!(replaced_around(&world, "phone", unbound, request).await, Err(Code::WrongCredentials));
    assert!(world.core.status(world.apps[0].clone(), key("new")).await.unwrap().is_none(), "registers nobody");
}

/// Bindings of a few accounts and keys in every pair at once, unbindings and replacements among them: each is answered,
/// and what stands at the end is one to one.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_bindings_at_once_are_all_answered_and_leave_one_to_one() {
    let world = Arc::new(World::start().await);
    let (accounts, keys) = (["alice", "bob", "carol"], ["one", "two", "three", "four"]);
    let mut codes = Vec::new();
    for n in 0..50 {
        let session = world.signed_in(accounts[n % 3]).await;
        codes.push(world.code(&session).await);
    }
    let mut tasks = Vec::new();
    for (n, code) in codes.into_iter().enumerate() {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            world.core.bind(key(keys[n % 4]), &code).await.unwrap();
            if n % 10 == 0 {
                let user = uid(accounts[n % 3]);
                let bound_at = world.core.bound_at(&user).await.unwrap().unwrap_or(Stamp(0));
                world.core.unbind(&user, bound_at).await.unwrap();
            }
            if n % 10 == 5 {
                let account = Some((uid(accounts[n % 3]), Secret::new(PASSWORD)));
                match world.core.replace(replace(&world, Old { key: None, account })).await {
                    Ok(()) => {}
                    // Not bound just now, or its newest key is the new one already.
                    Err(e) => assert!(matches!(e.code(), Code::WrongCredentials | Code::SameKey), "{}", e.chain()),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut by_key = BTreeMap::new();
    for account in accounts {
        if let Some(key) = world.mapped(account).await {
            assert_eq!(by_key.insert(key.clone(), account), None, "{key} is bound twice");
            let back = world.core.mapping(Some(TuserKey::new(key).unwrap()), None).await.unwrap();
            assert_eq!(back.map(|(_, user)| user).as_deref(), Some(account));
        }
    }
    let code = world.code(&world.signed_in("alice").await).await;
    world.core.bind(key("one"), &code).await.unwrap();
    assert_eq!(world.mapped("alice").await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_bindings_by_one_code_one_is_done() {
    let world = Arc::new(World::start().await);
    let session = world.signed_in("alice").await;
    let code = world.code(&session).await;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (world, code) = (world.clone(), code.clone());
            tokio::spawn(async move { world.core.bind(key(&format!("phone-{n}")), &code).await.is_ok() })
        })
        .collect();
    let mut done = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        if task.await.unwrap() {
            done.push(format!("phone-{n}"));
        }
    }
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(world.mapped("alice").await.as_ref(), done.first());
}
