//! Replacement of keys against the model.

use crate::model::{KEYS, Model, Step, kind, steps};
use crate::world::World;
use diesel::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use service_kit::db::DbConn;
use service_kit::{Code, Result};
use shared_models::TuserKey;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use svc_terminal_user::domain::{Activity, Amount, Course, Kind, LnMd5, Moment, Old, Replace};

diesel::table! {
    validities (app_id, im_uid, ln_md5) { app_id -> Text, im_uid -> Text, ln_md5 -> Text, price -> Nullable<BigInt>, }
}
diesel::table! {
    records (app_id, im_uid, kind, record_id) {
        app_id -> Text, im_uid -> Text, kind -> Text, record_id -> Text, amount -> Nullable<BigInt>,
    }
}
diesel::table! {
    replaced_rows (id) {
        id -> BigInt, old_uid -> Text, new_uid -> Text, im_uid -> Text, kind -> Text, record_id -> Text,
        amount -> Nullable<BigInt>, deleted_at -> BigInt,
    }
}
diesel::table! {
    outbox (id) { id -> BigInt, kind -> Text, lane -> Text, detail -> Text, }
}

/// Keys of one history: nobody else's.
fn key(history: &str, n: usize) -> TuserKey {
    TuserKey::new(format!("{history}-{n}")).unwrap()
}

fn course(n: &str) -> String {
    format!("{n:0>32}")
}

async fn apply(world: &World, history: &str, step: &Step) -> Result<()> {
    let when = || Moment::new("2016-04-01 01:01:01").unwrap();
    match *step {
        Step::Sync { app, key: k, kind: n, id, value } => {
            let (app, key, price) = (world.apps[app].clone(), key(history, k), Some(Amount(value.into())));
            match Kind::from_name(kind(n)) {
                Some(kind) => {
                    let activity = Activity {
                        kind,
                        record_id: id.to_string(),
                        subject: String::new(),
                        amount: price,
                        occurred_at: Some(when()),
                    };
                    world.core.sync_activity(app, key, activity).await
                }
                None => {
                    let id = LnMd5::new(&course(&id.to_string())).unwrap();
                    world.core.sync_course(app, key, Course { id, price, start: when(), end: when() }).await
                }
            }
        }
        Step::Replace { app, old, new } => {
            let old = Old { key: Some(key(history, old)), account: None };
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let request = Replace { app_id: world.apps[app].clone(), old, new: key(history, new), address };
            world.core.replace(request).await
        }
    }
}

type Row = (String, String, String, String, Option<i64>);

/// Rows and deleted rows of a history, as the model has them.
async fn seen(world: &World, history: &str, model: &Model) -> Model {
    let uids: BTreeMap<String, usize> = (0..KEYS).map(|n| (key(history, n).im_uid().into_inner(), n)).collect();
    let asked: Vec<String> = uids.keys().cloned().collect();
    let read = move |conn: &mut DbConn| {
        let validities: Vec<(String, String, String, Option<i64>)> = validities::table
            .filter(validities::im_uid.eq_any(&asked))
            .select((validities::app_id, validities::im_uid, validities::ln_md5, validities::price))
            .load(conn)?;
        let records: Vec<Row> = records::table
            .filter(records::im_uid.eq_any(&asked))
            .select((records::app_id, records::im_uid, records::kind, records::record_id, records::amount))
            .load(conn)?;
        let deleted: Vec<(String, String, Row, i64)> = replaced_rows::table
            .filter(replaced_rows::im_uid.eq_any(&asked))
            .select((
                replaced_rows::old_uid,
                replaced_rows::new_uid,
                (
                    replaced_rows::im_uid,
                    replaced_rows::kind,
                    replaced_rows::record_id,
                    replaced_rows::kind,
                    replaced_rows::amount,
                ),
                replaced_rows::deleted_at,
            ))
            .load(conn)?;
        Ok((validities, records, deleted))
    };
    let (validities, records, deleted) = world.query(read).await;
    let short = |id: &str| id.trim_start_matches('0').to_owned();
    let short = |kind: &str, id: &str| match (kind, short(id)) {
        ("validity", id) if id.is_empty() => "0".to_owned(),
        ("validity", id) => id,
        _ => id.to_owned(),
    };
    let value = |amount: Option<i64>| u8::try_from(amount.unwrap()).unwrap();
    let app = |id: &str| world.apps.iter().position(|app| app.as_str() == id).unwrap();
    let validities = validities.into_iter().map(|(a, uid, id, price)| (a, uid, "validity".to_owned(), id, price));
    let mut found = Model { registered: model.registered.clone(), ..Model::default() };
    found.replacements.clone_from(&model.replacements);
    for (a, uid, kind, id, amount) in records.into_iter().chain(validities) {
        let id = short(&kind, &id);
        found.rows.insert((app(&a), uids[&uid], kind, id), value(amount));
    }
    for (old, new, (uid, kind, id, _, amount), at) in deleted {
        assert!(at > 0);
        let id = short(&kind, &id);
        *found.deleted.entry((uids[&old], uids[&new], uids[&uid], kind, id, value(amount))).or_default() += 1;
    }
    found
}

async fn check(world: &World, history: &str, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for step in steps {
        let expected = model.apply(step);
        let outcome = apply(world, history, step).await;
        match (&outcome, expected) {
            (Ok(()), true) => {}
            (Err(e), false) => {
                prop_assert!(matches!(e.code(), Code::SameKey | Code::UnknownTerminalUser), "{}", e.chain());
            }
            other => prop_assert!(false, "{step:?}: {other:?}"),
        }
    }
    for n in 0..KEYS {
        let status = world.core.status(world.apps[0].clone(), key(history, n)).await.unwrap();
        prop_assert_eq!(status.is_some(), model.registered.contains(&n), "registration of {}", n);
    }
    prop_assert_eq!(seen(world, history, &model).await, model.clone());
    // One operation for each replacement in the system app, in their order, and none for the other app's.
    let of = |n: usize| key(history, n).im_uid().into_inner();
    let system = || world.apps[0].as_str().to_owned();
    let of_system = model.replacements.iter().filter(|(app, _, _)| *app == 0);
    let wanted: Vec<(String, String, String)> = of_system.map(|(_, old, new)| (system(), of(*old), of(*new))).collect();
    let intents: Vec<(String, String)> = world
        .query(|conn| {
            let all = outbox::table.filter(outbox::kind.eq("groups.rekey"));
            Ok(all.order(outbox::id).select((outbox::lane, outbox::detail)).load(conn)?)
        })
        .await;
    let told: Vec<(String, String, String)> = intents
        .into_iter()
        .map(|(lane, detail)| {
            let detail: serde_json::Value = serde_json::from_str(&detail).unwrap();
            let text = |name: &str| detail[name].as_str().unwrap().to_owned();
            (lane, text("old_uid"), text("new_uid"))
        })
        .filter(|(_, old, _)| (0..KEYS).any(|n| of(n) == *old))
        .collect();
    prop_assert_eq!(told, wanted);
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn replacement_does_what_the_model_does_over_random_histories() {
    let runtime = runtime();
    let world = runtime.block_on(World::start());
    let count = std::cell::Cell::new(0);
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            count.set(count.get() + 1);
            runtime.block_on(check(&world, &format!("h{}", count.get()), &steps))
        })
        .unwrap();
}

/// The account's way to the old key: the mapped key, then the newest of its chain in the app.
#[test]
fn chains_are_followed_in_their_order_each_replacement_once() {
    use svc_terminal_user::store::replace::{Reached, follow, insert_replacement};
    let runtime = runtime();
    let world = runtime.block_on(World::start());
    let pairs = prop::collection::vec((0..KEYS, 0..KEYS), 0..12);
    let count = std::cell::Cell::new(0);
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&pairs, |pairs| {
            count.set(count.get() + 1);
            let history = format!("c{}", count.get());
            let mut model = Model::default();
            model.replacements.extend(pairs.iter().map(|(old, new)| (0, *old, *new)));
            let uid = |n: usize| key(&history, n).im_uid();
            let (pairs, all) = (pairs.clone(), (0..KEYS).map(uid).collect::<Vec<_>>());
            let walked = runtime.block_on(world.db.transaction(move |conn| {
                for (old, new) in &pairs {
                    insert_replacement(conn, "kith", &all[*old], &all[*new], shared_models::Stamp(1))?;
                }
                let mut ends = Vec::new();
                for start in &all {
                    // At once, or in pieces, each from where the one before ended.
                    let first = Reached::first(start.as_str());
                    let whole = follow(conn, "kith", &first, 1_000)?;
                    let mut now = first;
                    loop {
                        let next = follow(conn, "kith", &now, 2)?;
                        if next == now {
                            break;
                        }
                        now = next;
                    }
                    assert_eq!(now, whole);
                    ends.push(now.uid);
                }
                Ok(ends)
            }));
            let wanted: Vec<String> = (0..KEYS).map(|n| uid(model.newest(0, n)).into_inner()).collect();
            prop_assert_eq!(walked.unwrap(), wanted);
            Ok(())
        })
        .unwrap();
}

/// Writers of the same keys at once: nothing is lost, nothing doubled, nobody fails.
#[test]
fn replacements_and_writers_of_the_same_keys_do_not_hurt_each_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = std::sync::Arc::new(World::start().await);
        let mut tasks = Vec::new();
        for writer in 0..8_usize {
            let world = world.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..40_usize {
                    let step = match n % 4 {
                        // Payments are never deleted but for doubles, and no two of these have one id.
                        0..=2 => Step::Sync { app: 0, key: n % 2, kind: 3, id: writer * 1000 + n, value: 1 },
                        _ => Step::Replace { app: 0, old: (n / 4 + writer) % 2, new: (n / 4 + writer + 1) % 2 },
                    };
                    match apply(&world, "race", &step).await {
                        Ok(()) => {}
                        Err(e) => assert_eq!(e.code(), Code::UnknownTerminalUser, "{}", e.chain()),
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let rows: i64 = world.query(|conn| Ok(records::table.count().get_result(conn)?)).await;
        let deleted: i64 = world.query(|conn| Ok(replaced_rows::table.count().get_result(conn)?)).await;
        assert_eq!((rows, deleted), (8 * 30, 0));
    });
}
