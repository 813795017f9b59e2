//! `kith outbox list|retry`: what other systems must still be told, in every service that keeps an outbox.
//!
//! Works on the services' databases directly, whether they run or not.

use crate::stack::Settings;
use clap::{Args, Subcommand, ValueEnum};
use service_kit::clock::Clock;
use service_kit::db::Db;
use service_kit::outbox::{Listed, list, retry};
use service_kit::{Code, Error, Result};

/// Rows read at once.
const AT_ONCE: i64 = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows intents that wait, and dead letters.
    List {
        /// Dead letters only.
        #[arg(long)]
        dead: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Has dead letters delivered again, and ends the pauses after failures.
    Retry {
        /// Those of these numbers (with --service); without any, all.
        ids: Vec<i64>,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
pub struct Of {
    /// One service's; without it every service's.
    #[arg(long, value_enum)]
    service: Option<Service>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Service {
    ImAuth,
    TerminalUser,
    Groups,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::ImAuth => "im_auth",
            Self::TerminalUser => "terminal_user",
            Self::Groups => "groups",
        }
    }

    async fn database(self, settings: &Settings) -> Result<Db> {
        match self {
            Self::ImAuth => svc_im_auth::server::database(&settings.common, &settings.im_auth).await,
            Self::TerminalUser => svc_terminal_user::server::database(&settings.common, &settings.terminal_user).await,
            Self::Groups => svc_groups::server::database(&settings.common, &settings.groups).await,
        }
    }
}

/// The lines to print.
pub async fn run(command: Command, settings: &Settings) -> Result<Vec<String>> {
    let clock = Clock::system();
    let mut lines = Vec::new();
    match command {
        Command::List { dead, of } => {
            lines.push("service\tid\tstate\tkind\tlane\tkey\tage\tfailures\treason".to_owned());
            for service in services(&of) {
                let db = service.database(settings).await?;
                let mut after = 0;
                loop {
                    let some = list(&db, dead, after, AT_ONCE).await?;
                    let Some(last) = some.last() else { break };
                    after = last.id;
                    lines.extend(some.iter().map(|row| line(service, row, clock.now().0)));
                }
                db.close().await;
            }
        }
        Command::Retry { ids, of } => {
            if !ids.is_empty() && of.service.is_none() {
                return Err(Error::new(Code::BadParameter, "numbers are a service's own: name it with --service"));
            }
            for service in services(&of) {
                let db = service.database(settings).await?;
                let revived = retry(&db, &clock, (!ids.is_empty()).then(|| ids.clone())).await?;
                lines.push(format!("{}: {revived} dead letters are delivered again", service.name()));
                db.close().await;
            }
        }
    }
    Ok(lines)
}

fn services(of: &Of) -> Vec<Service> {
    of.service.map_or_else(|| Service::value_variants().to_vec(), |one| vec![one])
}

/// Tabs between columns, and none within: user ids may hold anything.
fn line(service: Service, row: &Listed, now: i64) -> String {
    let state = if row.is_dead { "dead" } else { "waits" };
    let reason = if row.is_dead { row.reason.as_str() } else { row.trouble.as_deref().unwrap_or_default() };
    let failures = if row.is_dead { 0 } else { row.failures.unwrap_or_default() };
    [
        service.name().to_owned(),
        row.id.to_string(),
        state.to_owned(),
        row.kind.clone(),
        row.lane.escape_debug().to_string(),
        row.key.escape_debug().to_string(),
        format!("{}s", (now - row.since).max(0) / 1000),
        failures.to_string(),
        reason.escape_debug().to_string(),
    ]
    .join("\t")
}
