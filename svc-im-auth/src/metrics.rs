//! Metrics of sockets and presence.

use crate::domain::Core;
use service_kit::metrics::Reading;
use service_kit::server::Spec;
use shared_models::Platform;

pub fn register(spec: &Spec, core: &Core) {
    let Some(metrics) = spec.metrics.first() else { return };
    let sockets = core.sockets.clone();
    metrics.read_on_scrape("kith_sockets", move || {
        let counts = sockets.by_platform();
        let (kicked, logged_out) = sockets.ended();
        let mut readings: Vec<Reading> = Platform::ALL
            .iter()
            .zip(counts)
            .map(|(p, n)| Reading::gauge("open", "Open sockets", n).of("platform", p.name()))
            .collect();
        readings.push(Reading::counter("kicked", "Sockets ended by a later one of the same user and platform", kicked));
        readings.push(Reading::counter("logged_out", "Sockets ended by a log-out", logged_out));
        readings
    });
    let presence = core.presence.clone();
    metrics.read_on_scrape("kith_presence", move || {
        let s = presence.stats();
        let age = s.lease_age.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        vec![
            Reading::gauge("users", "Users with an open socket here", s.users as u64),
            Reading::gauge("serving", "Whether this node stands among the live ones", u64::from(s.serving)),
            Reading::gauge("rewriting", "Users that this lease has yet to write", s.rewriting as u64),
            Reading::gauge("lease_age_milliseconds", "Since the lease was renewed", age),
            Reading::counter("leases", "Leases so far; more than one tells of outages", s.leases),
            Reading::counter("unknown", "Questions that had to be answered with unknown", s.unknown),
        ]
    });
    let passwords = core.passwords.clone();
    metrics.read_on_scrape("kith_passwords", move || {
        vec![Reading::counter("computed", "Password hashes computed", passwords.computed())]
    });
}
