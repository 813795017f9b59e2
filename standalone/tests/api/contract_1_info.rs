//! Contract §1: status, courses, activity records and the old registration call (document 001).

use crate::stack::{Stack, name, shared};
use crate::tusers::{OTHER_APP, done, md5};
use serde_json::json;

const COURSE: &str = "0123456789abcdef0123456789abcdef";
const START: &str = "2016-04-01 01:01:01";
const END: &str = "2017-04-01 01:01:01";

#[tokio::test]
async fn the_status_tells_unknown_users_from_those_with_and_without_consumption_data() {
    let (kith, key) = (shared().await, name("k"));
    kith.status(&key, &[("app_id", "")]).await.is(json!({"rc": "1", "rm": "", "rs": "-1"}));
    assert_eq!(kith.rs(&key).await, "-1", "asking registers nobody");
    kith.urt(&key, &[]).await.ok_a();
    kith.status(&key, &[]).await.is(json!({"rc": "1", "rm": "", "rs": "-2"}));
    kith.sync_course(&key, "", COURSE, START, END).await.is(done());
    kith.status(&key, &[]).await.is(json!({"rc": "1", "rm": "", "rs": "1"}));
    kith.status(&key, &[("app_id", OTHER_APP)]).await.is(json!({"rc": "1", "rm": "", "rs": "-2"}));
    kith.status(&key, &[("app_id", "nobody")]).await.fails_a("app_id: no such app");
    // Which records are consumption data.
    for (kind, rs) in [
        ("consumption", "1"),
        ("recharge", "1"),
        ("purchase", "1"),
        ("feedback", "-2"),
        ("location", "-2"),
        ("payment", "-2"),
        ("click", "-2"),
        ("comment", "-2"),
    ] {
        let key = name("k");
        kith.record(&key, kind, "1", &[]).await.is(done());
        assert_eq!(kith.rs(&key).await, rs, "{kind}");
    }
}

#[tokio::test]
async fn a_course_is_kept_without_a_price_and_wholly_replaced() {
    let (kith, key) = (shared().await, name("k"));
    kith.sync_course(&key, "", &COURSE.to_uppercase(), START, END).await.is(done());
    let found =
        json!({"rc": "1", "rm": "", "type": "lnvalidth", "isExisted": "1", "start_time": START, "end_time": END});
    assert_eq!(kith.course(&key, "", COURSE).await, found);
    assert_eq!(kith.course(&key, "kith", &COURSE.to_uppercase()).await, found);
    let nothing = json!({"rc": "1", "rm": "", "type": "lnvalidth", "isExisted": "0"});
    assert_eq!(kith.course(&key, OTHER_APP, COURSE).await, nothing);
    assert_eq!(kith.course(&key, "", &"0".repeat(32)).await, nothing);
    kith.sync_course(&key, "", COURSE, "2020-02-29 00:00:00", "2020-02-29 00:00:00").await.is(done());
    let replaced = kith.course(&key, "", COURSE).await;
    assert_eq!(
        (&replaced["start_time"], &replaced["end_time"]),
        (&json!("2020-02-29 00:00:00"), &json!("2020-02-29 00:00:00"))
    );
    let stranger = name("k");
    assert_eq!(kith.course(&stranger, "", COURSE).await, nothing);
    assert_eq!(kith.rs(&stranger).await, "-1", "asking registers nobody");
}

#[tokio::test]
async fn a_course_that_is_wrong_is_refused_by_name_and_registers_nobody() {
    let (kith, key) = (shared().await, name("k"));
    let full = [("tuser_key", key.as_str()), ("ln_md5", COURSE), ("start_time", START), ("end_time", END)];
    let form = "must be a date and time as yyyy-MM-dd HH:mm:ss";
    for (field, value, rule) in [
        ("ln_md5", "0123", "must be 32 hex digits"),
        ("ln_md5", "0123456789abcdef0123456789abcdeg", "must be 32 hex digits"),
        ("start_time", "2016-04-01", form),
        ("start_time", "2016-4-1 1:1:1", form),
        ("start_time", "2015-02-29 00:00:00", form),
        ("end_time", "2016-04-01 24:00:00", form),
        ("end_time", "2016-12-31 23:59:60", form),
        ("end_time", "2016-04-01T01:01:01", form),
        ("end_time", "2016-04-01 01:01:00", "earlier than start_time"),
        ("ln_price", "-1", "must be a number of at least 0 with at most 2 decimals"),
        ("ln_price", "1.234", "must be a number of at least 0 with at most 2 decimals"),
        ("ln_price", "free", "must be a number of at least 0 with at most 2 decimals"),
        ("app_id", "nobody", "no such app"),
    ] {
        let mut pairs = full.to_vec();
        pairs.retain(|(k, _)| *k != field);
        pairs.push((field, value));
        kith.a("tu_sync_lnvalidth_from_tn", &pairs).await.fails_a(&format!("{field}: {rule}"));
    }
    for field in ["tuser_key", "ln_md5", "start_time", "end_time"] {
        let pairs: Vec<_> = full.into_iter().filter(|(k, _)| *k != field).collect();
        kith.a("tu_sync_lnvalidth_from_tn", &pairs).await.fails_a(&format!("{field}: missing"));
    }
    assert_eq!(kith.rs(&key).await, "-1");
    for price in ["", "0", "12", "12.5", "12.50"] {
        let mut pairs = full.to_vec();
        pairs.push(("ln_price", price));
        kith.a("tu_sync_lnvalidth_from_tn", &pairs).await.is(done());
    }
}

#[tokio::test]
async fn what_the_info_call_needs_is_missed_by_name() {
    let kith = shared().await;
    kith.info(&[("tuser_key", "k")]).await.fails_a("type: missing");
    kith.info(&[("tuser_key", "k"), ("type", "all")]).await.fails_a("type: must be lnvalidth or tuserurms");
    kith.info(&[("type", "lnvalidth"), ("ln_md5", COURSE)]).await.fails_a("tuser_key: missing");
    kith.info(&[("type", "lnvalidth"), ("tuser_key", "k")]).await.fails_a("ln_md5: missing");
    kith.info(&[("type", "tuserurms")]).await.fails_a("tuser_key: tuser_key or user_id must be given");
    kith.info(&[("type", "tuserurms"), ("user_id", "u"), ("app_id", "nobody")]).await.fails_a("app_id: no such app");
}

#[tokio::test]
async fn records_are_checked_by_name_and_kept_by_their_id() {
    let (kith, key) = (shared().await, name("k"));
    let long = "x".repeat(65);
    for (field, value, rule) in [
        ("kind", "validity", "no such kind"),
        ("kind", "", "no such kind"),
        ("record_id", "", "must not be empty"),
        ("record_id", long.as_str(), "longer than 64 characters"),
        ("subject", long.as_str(), "longer than 64 characters"),
        ("amount", "1,5", "must be a number of at least 0 with at most 2 decimals"),
        ("occurred_at", "yesterday", "must be a date and time as yyyy-MM-dd HH:mm:ss"),
        ("app_id", "nobody", "no such app"),
    ] {
        let mut pairs = vec![("tuser_key", key.as_str()), ("kind", "click"), ("record_id", "1")];
        pairs.retain(|(k, _)| *k != field);
        pairs.push((field, value));
        kith.a("tu_sync_record_from_tn", &pairs).await.fails_a(&format!("{field}: {rule}"));
    }
    assert_eq!(kith.rs(&key).await, "-1");
    let more = [("subject", "课"), ("amount", "9.9"), ("occurred_at", START)];
    kith.record(&key, "purchase", "1", &more).await.is(done());
    kith.record(&key, "purchase", "1", &[]).await.is(done());
    kith.form("/tu_sync_record_from_tn.action", &[("tuser_key", &key), ("kind", "click"), ("record_id", "1")])
        .await
        .is(done());
}

#[tokio::test]
async fn the_old_registration_call_answers_bare_text() {
    let (kith, key) = (shared().await, name("k"));
    let call = async |pairs: &[(&str, &str)]| {
        let answer = kith.a("ua_reg_user_from_hp", pairs).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
        answer.text
    };
    assert_eq!(call(&[("user_key", &key), ("app_id", "nobody"), ("type", "reg")]).await, "-1");
    assert_eq!(call(&[("user_key", &key), ("app_id", ""), ("type", "unreg")]).await, "-1");
    assert_eq!(call(&[("app_id", ""), ("type", "reg")]).await, "-1");
    assert_eq!(call(&[("user_key", &key)]).await, "-1");
    assert_eq!(kith.rs(&key).await, "-1");
    assert_eq!(call(&[("user_key", &key), ("app_id", "kith"), ("type", "reg")]).await, "0");
    assert_eq!(call(&[("user_key", &key), ("app_id", ""), ("type", "reg")]).await, "1");
    assert_eq!(kith.rs(&key).await, "-2");
    // It makes no account.
    kith.users_info(json!([md5(&key)])).await.is(json!({"errCode": 0, "errMsg": "", "data": []}));
}

#[tokio::test]
async fn many_at_once_register_a_key_once() {
    let (kith, key) = (shared().await, name("k"));
    let calls = (0..40).map(|_| {
        let (kith, key) = (kith.clone(), key.clone());
        async move { kith.a("ua_reg_user_from_hp", &[("user_key", &key), ("type", "reg")]).await.text }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|a| *a == "0").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|a| *a == "1").count(), 39, "{answers:?}");
}

/// Anybody may make up a key: what one stores has an end (`docs/security.md`).
#[tokio::test]
async fn a_key_that_has_stored_as_much_as_it_may_is_told_so() {
    let stack = Stack::start(&[("KITH__TERMINAL_USER__MAX_RECORDS", "2"), ("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    for (n, stored) in [("1", true), ("2", true), ("3", false), ("2", true)] {
        let (record, course) = (
            kith.record("k", "click", n, &[]).await,
            kith.sync_course("k", "", &format!("{n:0>32}"), START, END).await,
        );
        if stored {
            record.is(done());
            course.is(done());
        } else {
            record.fails_a("record_id: this key has too many records of this kind");
            course.fails_a("ln_md5: this key has too many courses");
        }
    }
    kith.record("k", "comment", "3", &[]).await.is(done());
}
