//! Users as document 004 names them.

use service_kit::settings::{App, Apps};
use service_kit::{Code, Error, Result};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Uid};
use std::sync::Arc;

/// A user: `appId#account`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person(AccountKey);

impl Person {
    pub fn key(&self) -> &AccountKey {
        &self.0
    }

    /// As the tables name them. App ids hold no `#`, so two users are never one text.
    pub fn row(&self) -> String {
        format!("{}#{}", self.0.app_id, self.0.uid)
    }

    pub fn of_row(row: &str) -> Result<Self> {
        let bad = |e: String| Error::internal(format!("a stored user has a bad name: {e}"));
        let (app, account) = row.split_once('#').ok_or_else(|| bad("no #".into()))?;
        Ok(Self(AccountKey { app_id: AppId::new(app).map_err(bad)?, uid: Uid::new(account).map_err(bad)? }))
    }
}

/// An app whose signature was right, asking about users.
#[derive(Clone)]
pub struct Caller {
    pub app: Arc<App>,
    pub apps: Apps,
}

impl Caller {
    /// Who acts: always of the path's app.
    pub fn operator(&self, useracc: &str) -> Result<Person> {
        let person = self.person("useracc", useracc)?;
        if person.0.app_id == self.app.id { Ok(person) } else { Err(Code::OperatorOfOtherApp.into()) }
    }

    /// Anyone else: of the path's app, or of one that it lists in `cross_app`.
    pub fn other(&self, field: &str, useracc: &str) -> Result<Person> {
        let person = self.person(field, useracc)?;
        let app = &person.0.app_id;
        let is_allowed = *app == self.app.id || self.app.cross_app.contains(app);
        if is_allowed { Ok(person) } else { Err(other_app(field)) }
    }

    /// Of the path's app, whatever `cross_app` says.
    pub fn own(&self, field: &str, useracc: &str) -> Result<Person> {
        let person = self.person(field, useracc)?;
        if person.0.app_id == self.app.id { Ok(person) } else { Err(other_app(field)) }
    }

    fn person(&self, field: &str, useracc: &str) -> Result<Person> {
        let bad = |e: String| Error::parameter(field, e);
        let (app_id, account) = match useracc.split_once('#') {
            Some((app, account)) => (AppId::new(app).map_err(|e| bad(format!("the app id {e}")))?, account),
            // Of `appId#account` in a URL an unescaped # leaves only the app id (`semantics.md` A.5).
            None if self.apps.by_id(useracc).is_some() => {
                return Err(bad("is the id of an app; # must be written %23 in a URL".into()));
            }
            None => (self.app.id.clone(), useracc),
        };
        let uid = Uid::new(account).map_err(|e| bad(format!("the account: {e}")))?;
        Ok(Person(AccountKey { app_id, uid }))
    }

    /// A user as this caller writes him: the account alone within its own app, where it asked for that and the
    /// account alone, sent back, means him.
    pub fn shown(&self, person: &Person, simple: bool) -> String {
        let account = person.0.uid.as_str();
        let means_him = || !account.contains('#') && self.apps.by_id(account).is_none();
        if simple && person.0.app_id == self.app.id && means_him() { account.to_owned() } else { person.row() }
    }
}

fn other_app(field: &str) -> Error {
    Error::new(Code::OtherAppNotAllowed, format!("{field}: users of that app are not allowed here"))
}

#[cfg(test)]
mod fuzz {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use service_kit::settings::Common;
    use service_kit::testkit::fuzz::{target, texts};

    #[test]
    fn useracc() {
        let apps = Apps::from_settings(&Common::default()).unwrap();
        let caller = Caller { app: Arc::clone(apps.system()), apps: apps.clone() };
        target(env!("CARGO_MANIFEST_DIR"), "useracc", |input| {
            let Some([text]) = texts(input) else { return };
            if let Ok(person) = Person::of_row(text) {
                assert_eq!(person.row(), text);
            }
            let other = caller.other("f", text);
            if let Err(e) = &other {
                assert!([Code::BadParameter, Code::OtherAppNotAllowed].contains(&e.code()), "{:?}", e.code());
                let length = e.text().len();
                assert!(length < 200 && !e.text().contains(char::is_control), "{}", e.text());
            }
            let Ok(person) = other else {
                return assert!(caller.operator(text).is_err() && caller.own("f", text).is_err());
            };
            assert!(text == person.row() || text == person.key().uid.as_str(), "{text}");
            let account = person.key().uid.as_str();
            assert!((1..=64).contains(&account.chars().count()) && !account.contains('\0'));
            let is_own = person.key().app_id == caller.app.id;
            let same = |found: Result<Person>| found.is_ok_and(|found| found == person);
            assert_eq!(is_own, same(caller.operator(text)));
            assert_eq!(is_own, same(caller.own("f", text)));
            assert_eq!(Person::of_row(&person.row()).unwrap(), person);
            for simple in [false, true] {
                let shown = caller.shown(&person, simple);
                assert!(same(caller.other("f", &shown)), "{shown} sent back means him");
            }
        });
    }
}
