//! `kith admin`: accounts, for operators. Works on the database that the settings name, whether the services run or
//! not; those that run know of a change within about a second.

use crate::stack::Settings;
use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use service_kit::clock::utc;
use service_kit::{Code, Error, Result, Secret};
use shared_models::Platform;
use std::io::{self, BufRead, Read, Write};
use svc_im_auth::{Admin, ListedAccount};

/// Longer input is no password.
const MAX_INPUT: u64 = 4096;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists an app's accounts, a page at a time.
    List {
        #[command(flatten)]
        of: Of,
        /// Those after this uid: the last one of the page before.
        #[arg(long, value_name = "UID", default_value = "")]
        after: String,
        /// Accounts on the page.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
    },
    /// Sets an account's password to the first line of standard input. Tokens stay valid.
    SetPassword {
        uid: String,
        #[command(flatten)]
        of: Of,
    },
    /// Makes an account an administrator.
    SetAdmin {
        uid: String,
        #[command(flatten)]
        of: Of,
    },
    /// Takes that back; those of the setting im_auth.admins stay administrators.
    ClearAdmin {
        uid: String,
        #[command(flatten)]
        of: Of,
    },
    /// Ends an account's tokens and sockets.
    Logout {
        uid: String,
        /// Those of this platform, 1 to 7; without it all.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=7))]
        platform: Option<i64>,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
pub struct Of {
    /// The id of the account's app; without it the system app.
    #[arg(long, value_name = "ID")]
    app: Option<String>,
}

/// The lines to print.
pub async fn run(command: Command, settings: &Settings) -> Result<Vec<String>> {
    // Before anything is opened: whoever types takes his time.
    let password = matches!(command, Command::SetPassword { .. }).then(read_password).transpose()?;
    let admin = svc_im_auth::server::admin(&settings.common, &settings.im_auth).await?;
    let lines = done(&admin, command, password).await;
    admin.close().await;
    lines
}

async fn done(admin: &Admin, command: Command, password: Option<Secret>) -> Result<Vec<String>> {
    match command {
        Command::List { of, after, limit } => {
            let app = admin.app(of.app.as_deref())?;
            // One more than shown tells whether there are more.
            let mut some = admin.list(app, after, limit + 1).await?;
            let more = i64::try_from(some.len()).unwrap_or_default() > limit;
            some.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let mut lines = vec!["uid\tregistered\tpassword\tadmin\tcreated\tname".to_owned()];
            lines.extend(some.iter().map(line));
            if let Some(last) = some.last().filter(|_| more) {
                lines.push(format!("# more: --after {:?}", last.uid));
            }
            Ok(lines)
        }
        Command::SetPassword { uid, of } => {
            let password = password.unwrap_or_default();
            admin.set_password(admin.key(of.app.as_deref(), &uid)?, password.expose()).await?;
            Ok(vec!["the password is set".to_owned()])
        }
        Command::SetAdmin { uid, of } => {
            admin.set_admin(admin.key(of.app.as_deref(), &uid)?, true).await?;
            Ok(vec!["an administrator now".to_owned()])
        }
        Command::ClearAdmin { uid, of } => {
            admin.set_admin(admin.key(of.app.as_deref(), &uid)?, false).await?;
            Ok(vec!["no administrator any more, unless im_auth.admins names the account".to_owned()])
        }
        Command::Logout { uid, platform, of } => {
            let platform = platform.and_then(Platform::from_number);
            let ended = admin.force_logout(admin.key(of.app.as_deref(), &uid)?, platform).await?;
            Ok(vec![format!("{ended} tokens are ended")])
        }
    }
}

/// Tabs between columns, and none within: uids and names may hold anything.
fn line(account: &ListedAccount) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    [
        account.uid.escape_debug().to_string(),
        yes(account.is_registered),
        yes(account.has_password),
        yes(account.is_admin),
        utc(account.created_at),
        account.name.escape_debug().to_string(),
    ]
    .join("\t")
}

/// The first line of standard input: arguments stand in process lists and shell histories. Not shown as it is typed.
fn read_password() -> Result<Secret> {
    let stdin = io::stdin();
    let shown = isatty(&stdin).then(|| tcgetattr(&stdin)).and_then(|modes| modes.ok());
    if let Some(modes) = &shown {
        let mut hidden = modes.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(Error::internal)?;
        let _ = write!(io::stderr(), "password: ");
    }
    let mut line = String::new();
    let read = stdin.lock().take(MAX_INPUT).read_line(&mut line);
    if let Some(modes) = &shown {
        let _ = tcsetattr(&stdin, OptionalActions::Now, modes);
        let _ = writeln!(io::stderr());
    }
    read.map_err(|e| Error::new(Code::BadParameter, "standard input: cannot be read").because(e))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Error::new(Code::BadParameter, "standard input: must hold the password"));
    }
    Ok(Secret::new(password))
}
