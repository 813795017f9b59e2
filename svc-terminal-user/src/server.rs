//! From settings to a running service.

use crate::routes;
use crate::settings::TerminalUserSettings;
use service_kit::health::Health;
use service_kit::metrics::Metrics;
use service_kit::server::{Listeners, Running, Spec, Upgrade, serve};
use service_kit::service::Environment;
use service_kit::settings::Common;
use service_kit::{Error, Result};

/// Starts the service as a process of its own.
pub async fn start(common: Common, settings: TerminalUserSettings) -> Result<Running> {
    let environment = Environment::of_process(&common).await?;
    start_in(common, settings, environment).await
}

/// Starts the service in an environment that is given.
pub async fn start_in(common: Common, settings: TerminalUserSettings, _environment: Environment) -> Result<Running> {
    let spec = Spec::new("svc-terminal-user", &common, Health::default(), Metrics::new("svc-terminal-user"));
    serve(&spec, Listeners::bind(&settings)?, routes::public, routes::internal, None::<fn() -> Upgrade>)
        .map_err(Error::internal)
}
