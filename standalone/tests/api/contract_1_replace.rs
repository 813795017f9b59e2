//! Contract §1: `tu_rk_replace_from_tn`, as far as clients see it. What it does to every table is tested against a
//! model in svc-terminal-user.

use crate::client::WRONG;
use crate::stack::{name, shared};
use crate::tusers::{OTHER_APP, PASSWORD, done, md5};
use serde_json::json;

const COURSE: &str = "0123456789abcdef0123456789abcdef";
const START: &str = "2016-04-01 01:01:01";
const END: &str = "2017-04-01 01:01:01";

#[tokio::test]
async fn the_shipped_apps_way_takes_the_new_key_username_and_password() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    let user = kith.bound_account(&old).await;
    kith.sync_course(&old, "", COURSE, START, END).await.is(done());
    let asked = [("tuser_key_d", new.as_str()), ("tuser_uid_s", user.as_str()), ("tuser_pwd_s", PASSWORD)];
    kith.replace(&asked).await.is(done());
    assert_eq!(kith.course(&new, "", COURSE).await["isExisted"], "1");
    assert_eq!(kith.course(&old, "", COURSE).await["isExisted"], "0");
    // The mapping stays; replacing by oneself is what the app calls "already signed in".
    assert_eq!(kith.mapping_of(&user).await.as_deref(), Some(old.as_str()));
    kith.replace(&asked).await.fails_a("the new key is the one to be replaced");
    // The next one takes over from the newest of the chain, here, …
    let newest = name("newest");
    kith.replace(&[("tuser_key_d", &newest), ("tuser_uid_s", &user), ("tuser_pwd_s", PASSWORD)]).await.is(done());
    assert_eq!(kith.course(&newest, "", COURSE).await["isExisted"], "1");
    assert_eq!(kith.course(&new, "", COURSE).await["isExisted"], "0");
    // … and in another app from the mapped key itself.
    kith.sync_course(&old, OTHER_APP, COURSE, START, END).await.is(done());
    let there =
        [("tuser_key_d", newest.as_str()), ("tuser_uid_s", &user), ("tuser_pwd_s", PASSWORD), ("app_id", OTHER_APP)];
    kith.replace(&there).await.is(done());
    assert_eq!(kith.course(&newest, OTHER_APP, COURSE).await["isExisted"], "1");
}

#[tokio::test]
async fn the_older_apps_way_takes_both_keys() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    kith.sync_course(&old, "", COURSE, START, END).await.is(done());
    kith.replace(&[("tuser_key_d", &new), ("tuser_key_s", &old)]).await.is(done());
    assert_eq!(kith.course(&new, "", COURSE).await["isExisted"], "1");
    // The key counts where both are given, and no password is asked.
    let (third, nobody) = (name("k"), name("nobody"));
    let both = [("tuser_key_d", third.as_str()), ("tuser_key_s", &new), ("tuser_uid_s", &nobody), ("tuser_pwd_s", "x")];
    kith.replace(&both).await.is(done());
    assert_eq!(kith.course(&third, "", COURSE).await["isExisted"], "1");
}

#[tokio::test]
async fn a_replacement_that_fails_registers_nobody() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    kith.urt(&old, &[]).await.ok_a();
    let unmapped = kith.account().await;
    let fails = async |pairs: &[(&str, &str)], rm: &str| {
        let mut all = vec![("tuser_key_d", new.as_str())];
        all.extend_from_slice(pairs);
        kith.replace(&all).await.fails_a(rm);
        assert_eq!(kith.rs(&new).await, "-1", "{pairs:?}");
    };
    fails(&[], "tuser_key_s: tuser_key_s or tuser_uid_s must be given").await;
    fails(&[("tuser_key_s", "never seen")], "no such terminal user").await;
    fails(&[("tuser_key_s", &new)], "the new key is the one to be replaced").await;
    fails(&[("tuser_uid_s", &unmapped)], "tuser_pwd_s: missing").await;
    fails(&[("tuser_pwd_s", PASSWORD)], "tuser_key_s: tuser_key_s or tuser_uid_s must be given").await;
    fails(&[("tuser_key_s", &old), ("app_id", "nobody")], "app_id: no such app").await;
    // Wrong password, unknown user and no mapping: one wording.
    fails(&[("tuser_uid_s", &unmapped), ("tuser_pwd_s", "wrong-password")], WRONG).await;
    fails(&[("tuser_uid_s", &name("nobody")), ("tuser_pwd_s", PASSWORD)], WRONG).await;
    fails(&[("tuser_uid_s", &unmapped), ("tuser_pwd_s", PASSWORD)], WRONG).await;
    kith.replace(&[("tuser_key_s", &old)]).await.fails_a("tuser_key_d: missing");
    let same = "the new key is the one to be replaced";
    kith.replace(&[("tuser_key_s", &old), ("tuser_key_d", &old)]).await.fails_a(same);
}

#[tokio::test]
async fn only_the_named_apps_rows_move_and_what_is_not_named_stays() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    let user = kith.bound_account(&old).await;
    kith.sync_basics(&old, &[("name", "old"), ("br_intro", "of old")]).await.is(done());
    kith.sync_course(&old, "", COURSE, START, END).await.is(done());
    kith.sync_course(&old, OTHER_APP, COURSE, START, END).await.is(done());
    kith.replace(&[("tuser_key_d", &new), ("tuser_key_s", &old), ("app_id", OTHER_APP)]).await.is(done());
    assert_eq!(kith.course(&old, "", COURSE).await["isExisted"], "1");
    assert_eq!(kith.course(&new, OTHER_APP, COURSE).await["isExisted"], "1");
    assert_eq!(kith.course(&old, OTHER_APP, COURSE).await["isExisted"], "0");
    // Registration, profile, mapping.
    assert_eq!((kith.rs(&old).await, kith.rs(&new).await), ("1".to_owned(), "-2".to_owned()));
    let shown = kith.usr(&[("tuser_key", &new)]).await.ok_a();
    assert_eq!((&shown["name"], &shown["br_intro"]), (&json!(""), &json!("")));
    assert_eq!(kith.usr(&[("tuser_key", &old)]).await.ok_a()["br_intro"], "of old");
    assert_eq!(kith.mapping_of(&user).await.as_deref(), Some(old.as_str()));
}

#[tokio::test]
async fn the_new_keys_courses_go_only_if_the_old_key_has_some_and_repeating_changes_nothing() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    let other = "f".repeat(32);
    kith.urt(&old, &[]).await.ok_a();
    kith.sync_course(&new, "", &other, START, END).await.is(done());
    let both = [("tuser_key_d", new.as_str()), ("tuser_key_s", old.as_str())];
    kith.replace(&both).await.is(done());
    assert_eq!(kith.course(&new, "", &other).await["isExisted"], "1");
    kith.sync_course(&old, "", COURSE, START, END).await.is(done());
    kith.replace(&both).await.is(done());
    for _ in 0..3 {
        assert_eq!(kith.course(&new, "", &other).await["isExisted"], "0");
        assert_eq!(kith.course(&new, "", COURSE).await["isExisted"], "1");
        kith.replace(&both).await.is(done());
    }
}

#[tokio::test]
async fn wrong_passwords_lock_out_as_everywhere() {
    let (kith, old) = (shared().await, name("old"));
    let user = kith.bound_account(&old).await;
    let attempt = async |password: &str| {
        let new = name("new");
        kith.replace(&[("tuser_key_d", &new), ("tuser_uid_s", &user), ("tuser_pwd_s", password)]).await
    };
    for _ in 0..10 {
        attempt("wrong-password").await.fails_a(WRONG);
    }
    attempt(PASSWORD).await.fails_a(WRONG);
    // An account is public; its terminal user is found by the key alone.
    kith.usr(&[("user_id", &md5(&old)), ("type", "name")]).await.ok_a();
}

/// Memberships follow in the system app, ownership included; what was joined afterwards stays.
#[tokio::test]
async fn memberships_follow_to_the_new_key() {
    let (kith, old, new) = (shared().await, name("old"), name("new"));
    for key in [&old, &new] {
        kith.urt(key, &[]).await.ok_a();
        kith.register_with(&md5(key), json!({"password": PASSWORD, "isAdmin": true})).await.ok_b();
    }
    let group = async |key: &str| {
        let form = [("username", md5(key)), ("password", PASSWORD.to_owned()), ("name", "g".to_owned())];
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        kith.form("/im/group_create/", &form).await.ok_c()["group_id"].as_i64().unwrap()
    };
    let (of_old, of_new) = (group(&old).await, group(&new).await);
    kith.replace(&[("tuser_key_d", &new), ("tuser_key_s", &old)]).await.is(done());
    let groups = async |key: &str| {
        let form = [("username", md5(key)), ("password", PASSWORD.to_owned())];
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let list = kith.form("/im/user_get_group_list/", &form).await.ok_c();
        let mut ids: Vec<i64> = list["groups"].as_array().unwrap().iter().map(|g| g["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    for _ in 0..200 {
        if groups(&new).await.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(groups(&new).await, [of_old, of_new]);
    assert!(groups(&old).await.is_empty());
}
