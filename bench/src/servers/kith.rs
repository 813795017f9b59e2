//! Kith both ways: `kith`, and its parts as processes.

use super::{Postgres, Process, Program, Redis, free_port, get, local};
use crate::Result;
use crate::cost::Tree;
use crate::plan::Plan;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// A part of Kith that can be a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Gateway,
    ImAuth,
    Groups,
    Friends,
}

impl Service {
    fn section(self) -> &'static str {
        match self {
            Self::Gateway => "GATEWAY",
            Self::ImAuth => "IM_AUTH",
            Self::Groups => "GROUPS",
            Self::Friends => "FRIENDS",
        }
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ImAuth => "svc-im-auth",
            Self::Groups => "svc-groups",
            Self::Friends => "svc-friends",
        }
    }

    /// What its database is called, after the name of the set.
    pub fn database(self, set: &str) -> String {
        format!("{set}_{}", self.section().to_lowercase())
    }
}

pub const STORING: [Service; 3] = [Service::ImAuth, Service::Groups, Service::Friends];

struct Part {
    process: Process,
    public: SocketAddr,
}

/// Parts of Kith on PostgreSQL and Redis.
pub struct Services {
    parts: BTreeMap<Service, Part>,
}

impl Services {
    /// `set` names their databases, their keys in Redis and their logs.
    pub fn start(plan: &Plan, set: &str, wanted: &[Service], postgres: &Postgres, redis: &Redis) -> Result<Self> {
        let folder = plan.folder.join(set);
        std::fs::create_dir_all(&folder)?;
        let ports: BTreeMap<Service, (u16, u16)> =
            [Service::Gateway].iter().chain(&STORING).map(|service| (*service, (free_port(), free_port()))).collect();
        let mut environment = vec![
            ("KITH__DATA_DIR".to_owned(), folder.join("data").display().to_string()),
            ("KITH__STATE__URL".to_owned(), redis.url()),
            ("KITH__STATE__PREFIX".to_owned(), format!("{set}:")),
            ("KITH__DRAIN".to_owned(), "1".to_owned()),
            ("RUST_LOG".to_owned(), plan.log.clone()),
        ];
        for (service, (public, internal)) in &ports {
            let section = service.section();
            environment.push((format!("KITH__{section}__LISTEN"), local(*public).to_string()));
            environment.push((format!("KITH__{section}__INTERNAL_LISTEN"), local(*internal).to_string()));
            environment.push((format!("KITH__GATEWAY__UPSTREAMS__{section}"), local(*public).to_string()));
            environment.push((format!("KITH__INTERNAL__{section}"), format!("http://{}", local(*internal))));
            environment.push((format!("KITH__{section}__DATABASE_URL"), postgres.url(&service.database(set))));
        }
        // Those are no settings.
        let unknown = ["KITH__GATEWAY__UPSTREAMS__GATEWAY", "KITH__GATEWAY__DATABASE_URL"];
        let unasked = ["KITH__INTERNAL__GATEWAY", "KITH__INTERNAL__FRIENDS"];
        environment.retain(|(key, _)| !unknown.contains(&key.as_str()) && !unasked.contains(&key.as_str()));
        let mut parts = BTreeMap::new();
        for service in wanted {
            let mut program = Program::new(service.binary(), plan.binaries.join(service.binary()), &folder);
            program.environment.extend(environment.iter().cloned());
            let (public, _) = ports[service];
            let mut process = program.start()?;
            // What they have answered is in PostgreSQL, and nobody waits for their goodbye.
            process.end = Signal::KILL;
            parts.insert(*service, Part { process, public: local(public) });
        }
        for (service, part) in &mut parts {
            let (_, internal) = ports[service];
            part.process.until(|| get(local(internal), "/readyz").is_some())?;
        }
        Ok(Self { parts })
    }

    fn part(&self, service: Service) -> Result<&Part> {
        self.parts.get(&service).ok_or_else(|| format!("{} was not started", service.binary()).into())
    }

    pub fn address(&self, service: Service) -> Result<SocketAddr> {
        Ok(self.part(service)?.public)
    }

    pub fn tree(&self, service: Service) -> Result<Tree> {
        Ok(self.part(service)?.process.tree())
    }

    pub fn trees(&self) -> Vec<Tree> {
        self.parts.values().map(|part| part.process.tree()).collect()
    }
}

/// The whole of Kith in one process, on SQLite.
pub struct Kith {
    pub process: Process,
    pub address: SocketAddr,
}

impl Kith {
    /// Starts it without waiting for anything.
    pub fn spawn(plan: &Plan, data: &Path) -> Result<Self> {
        let (public, internal) = (free_port(), free_port());
        let program = Program::new("kith", plan.binaries.join("kith"), &plan.folder).environment(&[
            ("KITH__DATA_DIR", data.display().to_string()),
            ("KITH__DRAIN", "1".to_owned()),
            ("KITH__GATEWAY__LISTEN", local(public).to_string()),
            ("KITH__GATEWAY__INTERNAL_LISTEN", local(internal).to_string()),
            ("RUST_LOG", plan.log.clone()),
        ]);
        Ok(Self { process: program.start()?, address: local(public) })
    }

    pub fn start(plan: &Plan, data: &Path) -> Result<Self> {
        let mut kith = Self::spawn(plan, data)?;
        let address = kith.address;
        kith.process.until(|| get(address, "/healthz").is_some())?;
        Ok(kith)
    }

    pub fn tree(&self) -> Tree {
        self.process.tree()
    }
}
