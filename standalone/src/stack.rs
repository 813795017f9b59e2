//! The five servers, started and stopped together.

use gateway::UpstreamTable;
use service_kit::secret::Secret;
use service_kit::server::{Deadline, Running, stop_all};
use service_kit::service::Environment;
use service_kit::settings::{Common, List, Loaded, Section, SettingsError};
use service_kit::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use svc_friends::FriendsSettings;
use svc_groups::GroupsSettings;
use svc_im_auth::ImAuthSettings;
use svc_terminal_user::TerminalUserSettings;

/// All parts of the settings.
pub struct Settings {
    pub common: Common,
    pub gateway: gateway::Settings,
    pub im_auth: ImAuthSettings,
    pub terminal_user: TerminalUserSettings,
    pub groups: GroupsSettings,
    pub friends: FriendsSettings,
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Settings {
    /// Every section, validated. The services listen on loopback ports of the system's choice, whatever the
    /// settings say: only the gateway is to be reached.
    pub fn of(loaded: &Loaded) -> Result<Self, SettingsError> {
        let mut common = loaded.common()?;
        // Nobody outside this process needs them, so each start has its own.
        if !common.internal.has_token() {
            common.internal.token = Some(Secret::random());
        }
        if common.gateway_token_is_development() {
            common.gateway_token = Secret::random();
        }
        fn section<S: Section>(
            loaded: &Loaded,
            common: &Common,
            place: impl FnOnce(&mut S),
        ) -> Result<S, SettingsError> {
            let mut section: S = loaded.section_unchecked()?;
            place(&mut section);
            section.validate()?;
            common.validate_database(&section)?;
            common.refuse_development_defaults(&section)?;
            Ok(section)
        }
        let gateway = loaded.section(&common)?;
        let im_auth = section(loaded, &common, |s: &mut ImAuthSettings| {
            (s.listen, s.internal_listen) = (ANY_PORT, ANY_PORT);
        })?;
        let terminal_user = section(loaded, &common, |s: &mut TerminalUserSettings| {
            (s.listen, s.internal_listen) = (ANY_PORT, ANY_PORT);
        })?;
        let groups = section(loaded, &common, |s: &mut GroupsSettings| {
            (s.listen, s.internal_listen) = (ANY_PORT, ANY_PORT);
        })?;
        let friends = section(loaded, &common, |s: &mut FriendsSettings| {
            (s.listen, s.internal_listen) = (ANY_PORT, ANY_PORT);
        })?;
        Ok(Self { common, gateway, im_auth, terminal_user, groups, friends })
    }
}

/// The running servers.
pub struct Stack {
    pub gateway: SocketAddr,
    pub im_auth: SocketAddr,
    servers: Vec<Running>,
}

impl Stack {
    /// Starts the four services, then the gateway. `environment` is what they share.
    pub async fn start(settings: Settings, environment: Environment) -> Result<Self> {
        let Settings { mut common, gateway: mut door, im_auth, terminal_user, groups, friends } = settings;
        let im_auth = svc_im_auth::server::start_in(common.clone(), im_auth, environment.clone()).await?;
        common.internal.im_auth = List(vec![format!("http://{}", im_auth.internal)]);
        let groups = svc_groups::server::start_in(common.clone(), groups, environment.clone()).await?;
        common.internal.groups = List(vec![format!("http://{}", groups.internal)]);
        let friends = svc_friends::server::start_in(common.clone(), friends, environment.clone()).await?;
        let terminal_user =
            svc_terminal_user::server::start_in(common.clone(), terminal_user, environment.clone()).await?;
        let place = |name: &str, server: &Running| -> Result<_> {
            let place = server.public.to_string().parse().map_err(|e: &str| Error::internal(e))?;
            Ok((name.to_owned(), List(vec![place])))
        };
        let places = [
            place("im_auth", &im_auth)?,
            place("groups", &groups)?,
            place("friends", &friends)?,
            place("terminal_user", &terminal_user)?,
        ];
        door.upstreams = UpstreamTable(places.into_iter().collect());
        let services = [im_auth, groups, friends, terminal_user];
        let metrics = services.iter().filter_map(Running::metrics).collect();
        let gateway = gateway::start_with(common, door, metrics).await?;
        for service in &services {
            gateway.show_health_of(service);
        }
        let (public, im_auth) = (gateway.public, services[0].public);
        let servers = std::iter::once(gateway).chain(services).collect();
        Ok(Self { gateway: public, im_auth, servers })
    }

    /// The servers, the gateway first.
    pub fn into_servers(self) -> Vec<Running> {
        self.servers
    }

    /// Ends all servers at once.
    pub async fn stop(self) {
        stop_all(self.servers, Deadline::of_process()).await;
    }
}
