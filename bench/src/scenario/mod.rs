//! What is measured, one module each. What a figure shall reach stands beside the job it is of.

mod credentials;
mod gateway;
mod growth;
mod kith;
mod peer;
mod presence;
mod reads;
mod writes;

use crate::contest::Side;
use crate::cost::Tree;
use crate::load::{Calls, Load, Pgbench};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Postgres, Redis, STORING};
use crate::{Result, data};

/// What a figure shall reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    None,
    AtLeast(f64),
    AtMost(f64),
}

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub run: fn(&Plan, &mut Report) -> Result<()>,
}

pub const ALL: &[Scenario] = &[
    Scenario { name: "gateway", title: "Gateway against nginx", run: gateway::run },
    Scenario { name: "reads", title: "Friends' reads against pgbench", run: reads::run },
    Scenario { name: "writes", title: "Writes against pgbench", run: writes::run },
    Scenario { name: "presence", title: "Online status of 200 users against Redis", run: presence::run },
    Scenario { name: "credentials", title: "A password with each call against a token", run: credentials::run },
    Scenario { name: "ejabberd", title: "Kith against ejabberd", run: peer::run },
    Scenario { name: "kith", title: "kith: start, memory, idle sockets", run: kith::run },
    Scenario { name: "growth", title: "Growth of the data", run: growth::run },
];

/// PostgreSQL and Redis with a data set in them.
struct Stores {
    postgres: Postgres,
    redis: Redis,
}

impl Stores {
    /// The set is named as its services' databases are. Nobody uses them yet: they can be copied.
    fn start(plan: &Plan, name: &str, set: data::Set) -> Result<Self> {
        let stores = Self { postgres: Postgres::start(&plan.folder, &[])?, redis: Redis::start(&plan.folder)? };
        data::postgres(plan, name, set, &stores.postgres, &stores.redis)?;
        Ok(stores)
    }

    /// Copies of a set's databases under another name.
    fn copy(&self, from: &str, to: &str) -> Result<()> {
        STORING.iter().try_for_each(|service| self.postgres.copy(&service.database(from), &service.database(to)))
    }

    /// pgbench with a script against one of the databases, of which there are only so many transactions.
    fn pgbench(&self, plan: &Plan, database: &str, (name, script): (&str, &str), most: u64) -> Result<Side> {
        let pgbench = Pgbench::new(&plan.folder, self.postgres.port, database, name, script, most)?;
        let cost = vec![("database", vec![self.postgres.tree()])];
        Ok(Side { name: "pgbench".into(), load: Load::Pgbench(pgbench), cost, memory: Vec::new(), aim: Aim::None })
    }

    /// A service asked directly or through the gateway; `trees` are those whose time and memory count.
    fn side(&self, name: &str, calls: Calls, trees: Vec<Tree>, aim: Aim) -> Side {
        let stores = vec![self.postgres.tree(), self.redis.tree()];
        let cost = vec![("Kith", trees.clone()), ("stores", stores)];
        Side { name: name.into(), load: Load::Calls(calls), cost, memory: trees, aim }
    }
}
