//! docs/configuration.md, out of the settings' types.

use gateway::Settings as GatewaySettings;
use service_kit::settings::Common;
use service_kit::settings::reference::{settings, table};
use svc_friends::FriendsSettings;
use svc_groups::GroupsSettings;
use svc_im_auth::ImAuthSettings;
use svc_terminal_user::TerminalUserSettings;

const HEAD: &str = "# Settings

<!-- Written by `kith settings-reference`; a test compares. -->

Built-in defaults ← file ← environment. The file is `--config FILE`, or `kith.toml` in the working folder if it is
there. In the environment a setting is `KITH__SECTION__KEY`; `KITH__SECTION__KEY_FILE` names a file that holds the
value. Lists are arrays in the file and separated by commas in the environment. `<name>` is a name of your own, of
`a-z 0-9 _`.

All processes read one tree, each its part: give all of them the same file. Unknown keys are errors. `kith check` (other
binaries: `--check`) validates and prints what is in force, secrets masked.

Secrets, `im_auth.admins`, `im_auth.open_registration`, `terminal_user.secrets_by_user_id` and an empty
`public_base_url` have defaults for development. They are good on loopback only: on any other address, or behind a
gateway or `public_base_url` that is not loopback, a process refuses to start until they are set, and names them.
";

/// The whole page.
pub fn configuration() -> String {
    let parts = [
        ("All processes", settings::<Common>("")),
        ("gateway", settings::<GatewaySettings>("gateway")),
        ("svc-im-auth", settings::<ImAuthSettings>("im_auth")),
        ("svc-terminal-user", settings::<TerminalUserSettings>("terminal_user")),
        ("svc-groups", settings::<GroupsSettings>("groups")),
        ("svc-friends", settings::<FriendsSettings>("friends")),
    ];
    let mut page = HEAD.to_owned();
    for (title, settings) in parts {
        page.push_str(&format!("\n## {title}\n\n{}", table(&settings)));
    }
    page.push_str(
        "\nLog levels come from `RUST_LOG` (default `info`). `kith` starts the services on loopback ports of the \
         system's choice, whatever `listen` says, and makes `internal.token` and `gateway.token` at each start unless \
         they are set.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_settings_are() {
        let written = include_str!("../../docs/configuration.md");
        let hint =
            "docs/configuration.md is behind: cargo run -p standalone -- settings-reference > docs/configuration.md";
        assert!(written == configuration(), "{hint}");
    }

    #[test]
    fn every_setting_has_a_meaning() {
        let page = configuration();
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 60, "{}", rows.len());
        for row in rows {
            assert!(!row.ends_with("|  |"), "{row}");
        }
    }
}
