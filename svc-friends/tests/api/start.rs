//! What a start refuses.

use crate::helpers::{Database, Identity, common, on_any_port};
use service_kit::clock::Clock;
use service_kit::service::Environment;
use service_kit::settings::{SecretUrl, Section};
use service_kit::state::State;
use svc_friends::FriendsSettings;
use tempfile::TempDir;

#[actix_web::test]
async fn another_utc_offset_than_the_databases_is_refused() {
    let (database, identity, folder) = (Database::fresh(), Identity::start(), TempDir::new().unwrap());
    let start = async |offset: &str| {
        let mut common = common(&folder, &identity);
        common.utc_offset = offset.parse().unwrap();
        let settings = FriendsSettings { database_url: SecretUrl::new(database.url()), ..on_any_port() };
        let environment = Environment { state: State::memory(), clock: Clock::system() };
        match svc_friends::server::start_in(common, settings, environment).await {
            Ok(running) => {
                running.stop().await;
                None
            }
            Err(e) => Some(e.to_string()),
        }
    };
    assert_eq!(start("+08:00").await, None);
    assert_eq!(start("+08:00").await, None);
    let refused = start("+00:00").await.unwrap();
    assert!(refused.starts_with("utc_offset: this database was first used with +08:00"), "{refused}");
    assert_eq!(start("+08:00").await, None);
}

#[test]
fn limits_that_make_no_sense_are_refused_by_name() {
    let with = |max_friends, max_pending| FriendsSettings { max_friends, max_pending, ..FriendsSettings::default() };
    assert!(with(5_000, 50_000).validate().is_ok());
    for (settings, name) in [
        (with(0, 1), "friends.max_friends"),
        (with(50_001, 1), "friends.max_friends"),
        (with(1, -1), "friends.max_pending"),
    ] {
        assert!(settings.validate().unwrap_err().starts_with(name));
    }
}
