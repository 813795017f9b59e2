//! The shipped app logs in by replacing a key, so that chains of keys have no end.

use crate::world::{PASSWORD, World};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use service_kit::{Code, Result, Secret};
use shared_models::{Stamp, TuserKey, Uid};
use std::net::{IpAddr, Ipv4Addr};
use svc_terminal_user::domain::{Course, LnMd5, Moment, Old, Replace};
use svc_terminal_user::store::{mappings, users};

pub fn key(name: &str) -> TuserKey {
    TuserKey::new(name).unwrap()
}

pub fn course(n: i64) -> Course {
    let when = || Moment::new("2016-04-01 01:01:01").unwrap();
    Course { id: LnMd5::new(&format!("{n:032}")).unwrap(), price: None, start: when(), end: when() }
}

impl World {
    /// As the shipped app logs in: username, password and its own key. Where it is busy it tries again.
    async fn log_in(&self, user: &str, phone: &str) {
        for _ in 0..5 {
            let account = Some((Uid::new(user).unwrap(), Secret::new(PASSWORD)));
            match self.replaced(Old { key: None, account }, phone).await {
                Err(e) if e.code() == Code::Busy => {}
                outcome => return outcome.unwrap(),
            }
        }
        panic!("busy however often it is tried");
    }

    pub async fn replaced(&self, old: Old, new: &str) -> Result<()> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.core.replace(Replace { app_id: self.apps[0].clone(), old, new: key(new), address }).await
    }

    async fn map(&self, user: &str, phone: &str) {
        let (user, phone) = (Uid::new(user).unwrap(), key(phone));
        let map = self.db.transaction(move |conn| {
            users::insert_user(conn, &phone, Stamp(1))?;
            Ok(mappings::replace_mapping(conn, &phone.im_uid(), &user, Stamp(1))?)
        });
        map.await.unwrap();
    }

    async fn has_course(&self, phone: &str) -> bool {
        let found = self.core.validity(self.apps[0].clone(), key(phone), LnMd5::new(&"0".repeat(32)).unwrap());
        found.await.unwrap().is_some()
    }

    /// Where the kept end of a phone's chain is: whose, and whether that is the last replacement of all.
    async fn kept(&self, phone: &str) -> (String, bool) {
        #[derive(QueryableByName)]
        struct Kept {
            #[diesel(sql_type = Text)]
            uid: String,
            #[diesel(sql_type = BigInt)]
            after: i64,
        }
        let first = key(phone).im_uid();
        let sql = "SELECT newest_uid AS uid, (SELECT max(id) FROM replacements) - last_id AS after FROM newest_keys \
                   WHERE first_uid = $1";
        let kept: Kept =
            self.query(move |conn| Ok(diesel::sql_query(sql).bind::<Text, _>(first.as_str()).get_result(conn)?)).await;
        (kept.uid, kept.after == 0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_that_log_in_in_turn_do_so_for_ever() {
    const LOG_INS: usize = 12_345;
    let world = World::start().await;
    world.map("alice", "first").await;
    let (a, b) = (key("first").im_uid(), key("second").im_uid());
    let history = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LOG_INS})
         INSERT INTO replacements (app_id, old_uid, new_uid, replaced_at)
         SELECT 'kith', CASE WHEN i % 2 = 1 THEN '{a}' ELSE '{b}' END, CASE WHEN i % 2 = 1 THEN '{b}' ELSE '{a}' END, i
         FROM n"
    );
    world.db.transaction(move |conn| Ok(conn.batch_execute(&history)?)).await.unwrap();
    // The last log-in was the second's.
    world.core.sync_course(world.apps[0].clone(), key("second"), course(0)).await.unwrap();
    world.log_in("alice", "first").await;
    assert!(world.has_course("first").await && !world.has_course("second").await);
    let uid = |phone: &str| key(phone).im_uid().into_inner();
    assert_eq!(world.kept("first").await, (uid("first"), true));
    // From here on each begins where the last one ended, also where somebody replaced by keys meanwhile.
    for phone in ["second", "third", "first"] {
        world.log_in("alice", phone).await;
        assert!(world.has_course(phone).await, "{phone}");
        assert_eq!(world.kept("first").await, (uid(phone), true));
    }
    world.replaced(Old { key: Some(key("first")), account: None }, "by key").await.unwrap();
    assert_eq!(world.kept("first").await, (uid("first"), false));
    world.log_in("alice", "second").await;
    assert!(world.has_course("second").await);
    assert_eq!(world.kept("first").await, (uid("second"), true));
    // Who has logged in already is told so.
    let account = Some((Uid::new("alice").unwrap(), Secret::new(PASSWORD)));
    let again = world.replaced(Old { key: None, account }, "second").await.unwrap_err();
    assert_eq!(again.code(), Code::SameKey);
}
