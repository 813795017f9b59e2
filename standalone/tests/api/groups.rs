//! Users and groups for the tests of family C's group calls.

use crate::client::{Answer, Client};
use crate::stack::{Kind, Stack, name};
use diesel::connection::SimpleConnection;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use serde_json::{Value, json};
use service_kit::db::Db;
use service_kit::settings::{Common, SecretUrl};
use svc_groups::GroupsSettings;
use svc_im_auth::ImAuthSettings;

pub const PASSWORD: &str = "password-1";

/// A user and his password.
#[derive(Clone)]
pub struct User {
    pub kith: Client,
    pub uid: String,
}

impl Client {
    /// A new user who registers himself.
    pub async fn person(&self) -> User {
        let uid = name("u");
        self.reg_user(&uid, PASSWORD).await.ok_c();
        User { kith: self.clone(), uid }
    }

    /// A new administrator.
    pub async fn admin(&self) -> User {
        let uid = name("admin");
        self.register_with(&uid, json!({"password": PASSWORD, "isAdmin": true})).await.ok_b();
        User { kith: self.clone(), uid }
    }

    pub async fn group_info(&self, id: impl std::fmt::Display) -> Answer {
        self.get(&format!("/im/{id}/group_get_info/")).await
    }
}

impl User {
    /// A form with the user's credentials.
    pub async fn call(&self, path: &str, more: &[(&str, &str)]) -> Answer {
        let pairs = [("username", self.uid.as_str()), ("password", PASSWORD)];
        let pairs: Vec<(&str, &str)> = pairs.iter().chain(more).copied().collect();
        self.kith.form(path, &pairs).await
    }

    pub async fn create(&self, name: &str) -> i64 {
        self.call("/im/group_create/", &[("name", name)]).await.ok_c()["group_id"].as_i64().unwrap()
    }

    pub async fn join(&self, id: i64) -> Answer {
        self.call(&format!("/im/{id}/group_join/"), &[]).await
    }

    pub async fn quit(&self, id: i64) -> Answer {
        self.call(&format!("/im/{id}/group_quit/"), &[]).await
    }

    pub async fn dismiss(&self, id: i64) -> Answer {
        self.call(&format!("/im/{id}/group_dismiss/"), &[]).await
    }

    pub async fn list(&self, id: i64, more: &[(&str, &str)]) -> Answer {
        self.call(&format!("/im/{id}/group_get_user_list/"), more).await
    }

    pub async fn sync(&self) -> Answer {
        self.call("/im/group_sync/", &[]).await
    }

    /// Ids of his groups.
    pub async fn groups(&self) -> Vec<i64> {
        let body = self.call("/im/user_get_group_list/", &[]).await.ok_c();
        body["groups"].as_array().unwrap().iter().map(|g| g["id"].as_i64().unwrap()).collect()
    }

    /// Usernames of a group's members.
    pub async fn members(&self, id: i64) -> Vec<String> {
        usernames(&self.list(id, &[]).await.ok_c())
    }

    pub async fn token(&self) -> String {
        self.kith.sign_in(&self.uid, PASSWORD).await.ok_c()["token"].as_str().unwrap().to_owned()
    }
}

pub fn usernames(body: &Value) -> Vec<String> {
    body["userinfos"].as_array().unwrap().iter().map(|m| m["username"].as_str().unwrap().to_owned()).collect()
}

/// Somebody with a token: no password to be hashed, so there can be many.
#[derive(Clone)]
pub struct Bearer {
    pub kith: Client,
    pub uid: String,
    token: String,
}

impl Client {
    pub async fn bearer(&self, more: Value) -> Bearer {
        let uid = name("b");
        let body = self.register_with(&uid, more).await.ok_b();
        let token = body["data"]["token"].as_str().unwrap().to_owned();
        Bearer { kith: self.clone(), uid, token }
    }
}

impl Bearer {
    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn call(&self, path: &str, more: &[(&str, &str)]) -> Answer {
        let pairs = [("username", self.uid.as_str()), ("token", self.token.as_str())];
        let pairs: Vec<(&str, &str)> = pairs.iter().chain(more).copied().collect();
        self.kith.form(path, &pairs).await
    }

    pub async fn create(&self, name: &str) -> i64 {
        self.call("/im/group_create/", &[("name", name)]).await.ok_c()["group_id"].as_i64().unwrap()
    }

    /// `group_join`, `group_quit`, …
    pub async fn on(&self, id: i64, call: &str) -> Answer {
        self.call(&format!("/im/{id}/{call}/"), &[]).await
    }

    pub async fn groups(&self) -> Vec<i64> {
        let body = self.call("/im/user_get_group_list/", &[]).await.ok_c();
        body["groups"].as_array().unwrap().iter().map(|g| g["id"].as_i64().unwrap()).collect()
    }

    pub async fn members(&self, id: i64) -> Vec<String> {
        usernames(&self.on(id, "group_get_user_list").await.ok_c())
    }
}

impl Stack {
    fn common(&self) -> Common {
        Common { data_dir: self.folder.path().join("data"), ..Common::default() }
    }

    fn url_of(&self, service: &str) -> SecretUrl {
        match self.kind {
            Kind::Sqlite => SecretUrl::default(),
            Kind::Postgres => {
                let key = format!("KITH__{}__DATABASE_URL", service.to_uppercase());
                SecretUrl::new(self.processes[service].environment()[&key].as_str())
            }
        }
    }

    /// svc-groups' database, beside the running service.
    pub async fn groups_db(&self) -> Db {
        let settings = GroupsSettings { database_url: self.url_of("groups"), ..GroupsSettings::default() };
        svc_groups::server::database(&self.common(), &settings).await.unwrap()
    }

    pub async fn im_auth_db(&self) -> Db {
        let settings = ImAuthSettings { database_url: self.url_of("im_auth"), ..ImAuthSettings::default() };
        svc_im_auth::server::database(&self.common(), &settings).await.unwrap()
    }
}

/// Runs statements in one transaction.
pub async fn execute(db: &Db, sql: &str) {
    let sql = sql.to_owned();
    db.transaction(move |conn| Ok(conn.batch_execute(&sql)?)).await.unwrap();
}

/// The number that a query names `n`.
pub async fn number(db: &Db, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let sql = sql.to_owned();
    db.read(move |conn| Ok(sql_query(&sql).get_result::<Row>(conn)?.n)).await.unwrap()
}
