//! What one key, which anybody may make up, can store.

use crate::chains::{course, key};
use crate::replacement::records;
use crate::world::{MAX_RECORDS, World};
use diesel::prelude::*;
use service_kit::db::DbConn;
use service_kit::{Code, Result};
use svc_terminal_user::domain::{Activity, Kind, Old};

const TOO_MANY: &str = "record_id: this key has too many records of this kind";

#[tokio::test]
async fn one_key_has_an_end_to_its_courses_and_to_its_records_of_a_kind() {
    let world = World::start().await;
    let app = || world.apps[0].clone();
    let record = async |app, phone: &str, kind, id: i64, subject: &str| {
        let (record_id, subject) = (id.to_string(), subject.to_owned());
        let activity = Activity { kind, record_id, subject, amount: None, occurred_at: None };
        world.core.sync_activity(app, key(phone), activity).await
    };
    for n in 0..MAX_RECORDS {
        record(app(), "k", Kind::Click, n, "").await.unwrap();
        world.core.sync_course(app(), key("k"), course(n)).await.unwrap();
    }
    let refused = record(app(), "k", Kind::Click, MAX_RECORDS, "").await.unwrap_err();
    assert_eq!((refused.code(), refused.text()), (Code::LimitReached, TOO_MANY));
    let refused = world.core.sync_course(app(), key("k"), course(MAX_RECORDS)).await.unwrap_err();
    assert_eq!((refused.code(), refused.text()), (Code::LimitReached, "ln_md5: this key has too many courses"));
    // What is there can be replaced; other kinds, apps and keys are not concerned.
    record(app(), "k", Kind::Click, 7, "changed").await.unwrap();
    world.core.sync_course(app(), key("k"), course(7)).await.unwrap();
    record(app(), "k", Kind::Comment, MAX_RECORDS, "").await.unwrap();
    record(world.apps[1].clone(), "k", Kind::Click, MAX_RECORDS, "").await.unwrap();
    record(app(), "other", Kind::Click, MAX_RECORDS, "").await.unwrap();
    // What a replaced key brings is refused to nobody.
    record(app(), "old", Kind::Recharge, 1, "").await.unwrap();
    for n in 0..MAX_RECORDS {
        record(app(), "new", Kind::Recharge, n + 10, "").await.unwrap();
    }
    world.replaced(Old { key: Some(key("old")), account: None }, "new").await.unwrap();
    let count = |conn: &mut DbConn| -> Result<i64> {
        Ok(records::table.filter(records::kind.eq("recharge")).count().get_result(conn)?)
    };
    assert_eq!(world.query(count).await, MAX_RECORDS + 1);
}
