//! Many at once on one group, or of one user: nobody else waits for them.

use crate::helpers::{Backend, TestApp};
use diesel::connection::SimpleConnection;
use serde_json::json;
use std::rc::Rc;
use std::time::{Duration, Instant};
use svc_groups::GroupsSettings;

const THREADS: usize = 4;
const FANS: usize = 300;
/// How long somebody holds the row that all the others want.
const HELD: Duration = Duration::from_millis(1_500);
/// What is not concerned is answered within this.
const QUICK: Duration = Duration::from_millis(600);

fn fan(n: usize) -> String {
    format!("fan{n}")
}

async fn start() -> Rc<TestApp> {
    // Few groups a user, so that a join has to look at all of his.
    let tune =
        |settings: &mut GroupsSettings| (settings.database_threads, settings.max_groups_per_user) = (THREADS, 40);
    let app = TestApp::start_with(Backend::Postgres, |_, settings| tune(settings)).await;
    // Remembered by the credential check before.
    for uid in ["admin".to_owned(), "other".to_owned()].into_iter().chain((0..FANS).map(fan)) {
        app.groups(&uid).await;
    }
    Rc::new(app)
}

/// Calls that have nothing to do with it are quick for as long as the row is held.
async fn others_are_quick(app: &TestApp, other: i64) {
    let began = Instant::now();
    while began.elapsed() < HELD {
        let of_other = ["group_join", "group_get_user_list", "group_quit"].map(|call| format!("/im/{other}/{call}"));
        for path in of_other.into_iter().chain(["/im/user_get_group_list".to_owned()]) {
            let asked = Instant::now();
            assert_eq!(app.post(&path, "other", json!({})).await["ret"], "ok", "{path}");
            assert!(asked.elapsed() < QUICK, "{path} took {:?}", asked.elapsed());
        }
    }
}

async fn hold(app: &TestApp, sql: String) -> actix_web::rt::task::JoinHandle<service_kit::Result<()>> {
    let db = app.db.clone();
    let held = actix_web::rt::spawn(async move {
        db.transaction(move |conn| {
            conn.batch_execute(&sql)?;
            std::thread::sleep(HELD);
            Ok(())
        })
        .await
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    held
}

#[actix_web::test]
async fn hundreds_who_join_and_quit_one_group_hold_up_nobody_else_and_none_is_busy() {
    let app = start().await;
    let (star, other) = (app.create("admin").await, app.create("admin").await);
    let held = hold(&app, format!("SELECT 1 FROM groups WHERE id = {star} FOR UPDATE")).await;
    let all = |call: &'static str| {
        let each = |n: usize| {
            let app = app.clone();
            actix_web::rt::spawn(async move { app.on(star, call, &fan(n)).await })
        };
        (0..FANS).map(each).collect::<Vec<_>>()
    };
    let joins = all("group_join");
    tokio::time::sleep(Duration::from_millis(300)).await;
    others_are_quick(&app, other).await;
    held.await.unwrap().unwrap();
    for join in joins {
        assert_eq!(join.await.unwrap()["ret"], "ok");
    }
    let held = hold(&app, format!("SELECT 1 FROM groups WHERE id = {star} FOR UPDATE")).await;
    let quits = all("group_quit");
    tokio::time::sleep(Duration::from_millis(300)).await;
    others_are_quick(&app, other).await;
    held.await.unwrap().unwrap();
    for quit in quits {
        assert_eq!(quit.await.unwrap()["ret"], "ok");
    }
    assert_eq!(app.members(star).await, ["admin"]);
    app.is_consistent().await;
    Rc::into_inner(app).unwrap().stop().await;
}

#[actix_web::test]
async fn one_user_who_joins_many_groups_at_once_holds_up_nobody_else() {
    let app = start().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(app.create("admin").await);
    }
    app.groups("u").await;
    let held = hold(&app, "SELECT pg_advisory_xact_lock(hashtextextended('u', 0))".into()).await;
    let join = |id: i64| {
        let app = app.clone();
        actix_web::rt::spawn(async move { app.on(id, "group_join", "u").await })
    };
    let joins: Vec<_> = ids[1..].iter().map(|id| join(*id)).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    others_are_quick(&app, ids[0]).await;
    held.await.unwrap().unwrap();
    for join in joins {
        assert_eq!(join.await.unwrap()["ret"], "ok");
    }
    app.is_consistent().await;
    Rc::into_inner(app).unwrap().stop().await;
}
