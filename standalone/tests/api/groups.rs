//! Users and groups for the tests of family C's group calls.

use crate::client::{Answer, Client};
use crate::stack::name;
use serde_json::{Value, json};

pub const PASSWORD: &str = "password-1";

/// A user and his password.
#[derive(Clone)]
pub struct User {
    pub kith: Client,
    pub uid: String,
}

impl Client {
    /// A new user who registers himself.
    pub async fn user(&self) -> User {
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
