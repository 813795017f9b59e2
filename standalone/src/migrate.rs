//! `kith migrate`: brings the schema of every service's database up to date and ends. For whoever wants that done
//! before the services start; they do it themselves too.

use crate::stack::Settings;
use service_kit::Result;

/// The lines to print.
pub async fn run(settings: &Settings) -> Result<Vec<String>> {
    let common = &settings.common;
    let databases = [
        ("im_auth", svc_im_auth::server::database(common, &settings.im_auth).await?),
        ("terminal_user", svc_terminal_user::server::database(common, &settings.terminal_user).await?),
        ("groups", svc_groups::server::database(common, &settings.groups).await?),
        ("friends", svc_friends::server::database(common, &settings.friends).await?),
    ];
    let mut lines = Vec::new();
    for (name, db) in databases {
        lines.push(format!("{name}: {}, up to date", db.stats().backend));
        db.close().await;
    }
    Ok(lines)
}
