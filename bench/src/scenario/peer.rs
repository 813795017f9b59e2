//! Kith and ejabberd do the same jobs: `kith` through its gateway on SQLite beside ejabberd on Mnesia, then the
//! services, asked directly, on PostgreSQL beside ejabberd on a database of the same server.
//!
//! Where the two do not do quite the same, Kith does more: an account comes with a token, a friend stands on both
//! lists, a list shows names and avatars, and what is answered is on disk in both of Kith's halves (Mnesia writes
//! its log without waiting for the disk).

use super::{Aim, Stores};
use crate::Result;
use crate::calls::{self, Signed};
use crate::contest::{COLUMNS, Contest, Outcome, Side};
use crate::cost::{self, Tree};
use crate::data::{self, PASSWORD, SAMPLE_SIZES, Set, chance, uid};
use crate::load::{Calls, Load};
use crate::plan::Plan;
use crate::report::Report;
use crate::servers::{Ejabberd, Kith, Postgres, STORING, Service, Services};
use std::net::SocketAddr;

/// Groups and rooms that are joined.
const ROOMS: u64 = 1_000;
/// Who joins, and whose password is checked.
const PEOPLE: u64 = 500;
/// Groups and rooms that each of those is in, who ask for theirs.
const ROOMS_OF_ONE: u64 = 5;

pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    if !Ejabberd::is_installed() {
        return report.line("ejabberd is not installed (Debian's package ejabberd): left out.");
    }
    let set = Set { with_password: true, samples: plan.of(100, 5), ..Set::of(plan.accounts) };
    on_sqlite(plan, set, report)?;
    if !Ejabberd::speaks_sql() {
        return report.line("\nejabberd has no client of PostgreSQL (Debian's package erlang-p1-pgsql): left out.");
    }
    on_postgresql(plan, set, report)
}

fn on_sqlite(plan: &Plan, set: Set, report: &mut Report) -> Result<()> {
    report
        .line("`kith` through its gateway, SQLite (WAL, synchronous=FULL: an answer means on disk), beside ejabberd")?;
    report.line("on Mnesia (in memory, log written but not flushed before the answer).\n")?;
    let data = plan.folder.join("data");
    data::sqlite(plan, &data, set)?;
    let kith = Kith::start(plan, &data)?;
    let ejabberd = Ejabberd::start(&plan.folder, "ejabberd", None)?;
    let half = Half {
        ours: "kith",
        at: [kith.address; 3],
        trees: vec![kith.tree()],
        stores: Vec::new(),
        of_hundred: 1.0,
        ejabberd: &ejabberd,
        postgres: None,
    };
    half.hold(plan, set, report)
}

fn on_postgresql(plan: &Plan, set: Set, report: &mut Report) -> Result<()> {
    report.line("\nThe services asked directly, beside ejabberd on the same PostgreSQL server (both: fsync and")?;
    report.line("synchronous_commit on).\n")?;
    let stores = Stores::start(plan, "kith", set)?;
    let services = Services::start(plan, "kith", &STORING, &stores.postgres, &stores.redis)?;
    let ejabberd = Ejabberd::start(&plan.folder, "ejabberd_sql", Some(&stores.postgres))?;
    let address = |service| services.address(service);
    let half = Half {
        ours: "services",
        at: [address(Service::ImAuth)?, address(Service::Groups)?, address(Service::Friends)?],
        trees: services.trees(),
        stores: vec![stores.postgres.tree(), stores.redis.tree()],
        of_hundred: 0.7,
        ejabberd: &ejabberd,
        postgres: Some(&stores.postgres),
    };
    half.hold(plan, set, report)
}

/// One pair of sides.
struct Half<'a> {
    ours: &'static str,
    /// svc-im-auth, svc-groups and svc-friends, or the gateway three times.
    at: [SocketAddr; 3],
    trees: Vec<Tree>,
    /// Databases of their own processes.
    stores: Vec<Tree>,
    /// What lists of 100 shall reach.
    of_hundred: f64,
    ejabberd: &'a Ejabberd,
    postgres: Option<&'a Postgres>,
}

/// The same job on both sides.
struct Job {
    what: String,
    ours: Calls,
    theirs: Calls,
    aim: f64,
}

impl Half<'_> {
    fn hold(&self, plan: &Plan, set: Set, report: &mut Report) -> Result<()> {
        let jobs = self.jobs(plan, set, report)?;
        report.head(&COLUMNS)?;
        let mut outcomes: Vec<Outcome> = Vec::new();
        for Job { what, ours, theirs, aim } in jobs {
            let side = |name: &str, calls: Calls, trees: &[Tree], aim| Side {
                name: name.into(),
                load: Load::Calls(calls),
                cost: vec![("server", trees.to_vec()), ("stores", self.stores.clone())],
                memory: trees.to_vec(),
                aim,
            };
            let sides = vec![
                side(self.ours, ours, &self.trees, Aim::AtLeast(aim)),
                side("ejabberd", theirs, &[self.ejabberd.tree()], Aim::None),
            ];
            self.postgres.map_or(Ok(()), Postgres::checkpoint)?;
            let outcome = Contest { what: what.clone(), sides }.hold(plan, report)?;
            let (closed, open) = (outcome.closed_p99(), outcome.open_p99());
            let judged = report.judge(&what, "p99 to ejabberd's", &Aim::AtMost(1.0), closed.max(open));
            let shown = format!("{closed:.2} closed, {open:.2} open");
            report.row(&["", "p99 to ejabberd's", "", &shown, &judged, "", "", "", ""])?;
            outcomes.push(outcome);
        }
        let mean = (outcomes.iter().map(|o| o.ratio.ln()).sum::<f64>() / outcomes.len() as f64).exp();
        let judged = report.judge(self.ours, "geometric mean", &Aim::AtLeast(2.0), mean);
        report.line(&format!("\nGeometric mean of the ratios: {mean:.2} ({judged})."))?;
        let memory = |trees: &[Tree]| cost::memory(trees) as f64 / 1024.0;
        let (ours, theirs) = (memory(&self.trees), memory(&[self.ejabberd.tree()]));
        let judged = report.judge(self.ours, "memory to ejabberd's", &Aim::AtMost(0.25), ours / theirs);
        report.line(&format!(
            "Memory afterwards: {ours:.0} MiB, ejabberd {theirs:.0} MiB: {:.2} ({judged}).",
            ours / theirs
        ))
    }

    /// Sets up what both sides need, which is not measured, and shows how fast a password is checked at first.
    fn jobs(&self, plan: &Plan, set: Set, report: &Report) -> Result<Vec<Job>> {
        let [auth, groups, friends] = self.at;
        let count = plan.of(PEOPLE, 4);
        // Not those who were put into groups by number.
        let people: Vec<String> = (0..count).map(|n| uid(set.ordinary(n * 7))).collect();
        let password = Signed::with_password(&people, PASSWORD);
        let token = Signed::with_token(auth, &people)?;
        let rooms = plan.of(ROOMS, 10).min(set.groups());
        let peer = Peer { address: self.ejabberd.address, people: count, rooms, samples: set.samples };
        peer.set_up()?;
        let mut cold = password.checks().to(groups);
        cold.connections = 2;
        let (first, theirs) = (cold.each(count)?, peer.check_password().each(count)?);
        report.line(&format!(
            "A password that was not checked before: {:.0}/s (argon2id, meant to be slow); ejabberd {:.0}/s (plain text).\n",
            first.rate(),
            theirs.rate(),
        ))?;
        let members: Vec<String> = (0..set.samples).map(|n| uid(set.ordinary(n * 7 + 3))).collect();
        let sitting = Signed::with_token(auth, &members)?;
        let mut join = sitting.joins(1, ROOMS_OF_ONE).to(groups);
        // They wait for each other.
        join.connections = 4;
        join.each(set.samples * ROOMS_OF_ONE)?;

        let job = |what: &str, ours: Calls, theirs: Calls, aim: f64| Job { what: what.into(), ours, theirs, aim };
        let open_door = move |n: u64| {
            // From who does not hold him yet to who lets himself be added.
            let me = chance(2 * n) % (set.accounts / 5) * 5 + 1;
            (uid(me), uid(chance(2 * n + 1) % (set.accounts / 5) * 5 + 5))
        };
        let mut jobs = vec![
            job("register", calls::user_register("n", None).to(auth), peer.register(), 1.0),
            job("check a password", password.checks().to(groups), peer.check_password(), 1.0),
            job("add a new friend", calls::pair("addFriend", open_door)?.to(friends), peer.add_roster_item(), 1.0),
        ];
        for (n, size) in SAMPLE_SIZES.into_iter().enumerate() {
            let aim = if size > 50 { self.of_hundred } else { 1.0 };
            let ours = calls::friends_sample(size, set.samples)?.to(friends);
            jobs.push(job(&format!("friends, {size}"), has(ours, "\"useracc\"", size)?, peer.roster(size)?, aim));
            let first = set.sample_groups(n);
            let ours = token.members(move |n| first + chance(n) % set.samples, "").to(groups);
            let ours = has(ours, "\"username\"", size)?;
            jobs.push(job(&format!("members, {size}"), ours, peer.affiliations(size)?, aim));
        }
        jobs.push(job("join anew", token.joins(1, rooms).to(groups), peer.join(), 1.0));
        let of_user = has(sitting.groups().to(groups), "\"id\"", ROOMS_OF_ONE)?;
        jobs.push(job("groups of a user", of_user, peer.rooms_of_user()?, 1.0));
        let presence = calls::online_status(1, set.accounts).to(auth);
        presence.once()?;
        jobs.push(job("presence of one", presence, peer.presence(), 1.0));
        Ok(jobs)
    }
}

/// The calls, if an answer holds `count` times what an entry has.
fn has(calls: Calls, entry: &str, count: u64) -> Result<Calls> {
    let body = calls.once()?;
    match body.matches(entry).count() as u64 {
        found if found >= count => Ok(calls),
        found => Err(format!("{found} instead of {count} entries: {body}").into()),
    }
}

/// ejabberd's side of the jobs.
struct Peer {
    address: SocketAddr,
    people: u64,
    rooms: u64,
    /// Lists and rooms of each size.
    samples: u64,
}

const HOST: &str = "\"host\":\"localhost\"";
const SERVICE: &str = "\"service\":\"conference.localhost\"";

impl Peer {
    fn calls(
        &self,
        command: &'static str,
        expected: &'static str,
        body: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Calls {
        Calls::new(self.address, calls::CONNECTIONS, expected, move |n, out| {
            calls::post(out, format_args!("/api/{command}"), "application/json", "", &format!("{{{}}}", body(n)));
        })
    }

    /// People, lists of both sizes, rooms: to join, with members, and with subscribers.
    fn set_up(&self) -> Result<()> {
        let (people, samples) = (self.people, self.samples);
        let register = |n: u64| format!("\"user\":\"p{n}\",{HOST},\"password\":\"{PASSWORD}\"");
        self.calls("register", "\"User", register).each(people)?;
        let create = |name: String| format!("\"name\":\"{name}\",{SERVICE},{HOST}");
        self.calls("create_room", "0", move |n| create(format!("room{n}"))).each(self.rooms)?;
        for size in SAMPLE_SIZES {
            let item = move |n: u64| roster_item(&format!("r{size}-{}", n / size), &format!("friend{}", n % size));
            self.calls("add_rosteritem", "0", item).each(samples * size)?;
            self.calls("create_room", "0", move |n| create(format!("s{size}-{n}"))).each(samples)?;
            let member = move |n: u64| membership(&format!("s{size}-{}", n % samples), &format!("m{}", n / samples));
            self.calls("set_room_affiliation", "0", member).each(samples * size)?;
        }
        let rooms = self.rooms;
        let subscribe = move |n: u64| {
            let (user, room) = (n / ROOMS_OF_ONE, n % ROOMS_OF_ONE % rooms);
            format!(
                "\"user\":\"q{user}@localhost/bench\",\"nick\":\"q{user}\",\"room\":\"room{room}@conference.localhost\",\
                 \"nodes\":\"urn:xmpp:mucsub:nodes:messages\""
            )
        };
        self.calls("subscribe_room", "[", subscribe).each(samples * ROOMS_OF_ONE).map(drop)
    }

    fn register(&self) -> Calls {
        self.calls("register", "\"User", |n| format!("\"user\":\"n{n}\",{HOST},\"password\":\"{PASSWORD}\""))
    }

    fn check_password(&self) -> Calls {
        let people = self.people;
        self.calls("check_password", "0", move |n| {
            format!("\"user\":\"p{}\",{HOST},\"password\":\"{PASSWORD}\"", n % people)
        })
    }

    fn add_roster_item(&self) -> Calls {
        let people = self.people;
        self.calls("add_rosteritem", "0", move |n| {
            roster_item(&format!("a{}", chance(n) % (people * 100)), &format!("new{n}"))
        })
    }

    fn roster(&self, size: u64) -> Result<Calls> {
        let samples = self.samples;
        let calls = self.calls("get_roster", "[{", move |n| {
            format!("\"user\":\"r{size}-{}\",\"server\":\"localhost\"", chance(n) % samples)
        });
        has(calls, "\"jid\"", size)
    }

    fn join(&self) -> Calls {
        let rooms = self.rooms;
        self.calls("set_room_affiliation", "0", move |n| {
            membership(&format!("room{}", n % rooms), &format!("j{}", n / rooms))
        })
    }

    fn affiliations(&self, size: u64) -> Result<Calls> {
        let samples = self.samples;
        let calls = self.calls("get_room_affiliations", "[{", move |n| {
            format!("\"name\":\"s{size}-{}\",{SERVICE}", chance(n) % samples)
        });
        has(calls, "\"username\"", size)
    }

    fn rooms_of_user(&self) -> Result<Calls> {
        let samples = self.samples;
        let calls =
            self.calls("get_user_subscriptions", "[", move |n| format!("\"user\":\"q{}\",{HOST}", chance(n) % samples));
        has(calls, "@conference.localhost", ROOMS_OF_ONE)
    }

    fn presence(&self) -> Calls {
        let people = self.people;
        self.calls("get_presence", "{", move |n| {
            format!("\"user\":\"p{}\",\"server\":\"localhost\"", chance(n) % people)
        })
    }
}

fn roster_item(owner: &str, friend: &str) -> String {
    format!(
        "\"localuser\":\"{owner}\",\"localhost\":\"localhost\",\"user\":\"{friend}\",{HOST},\"nick\":\"{friend}\",\
         \"group\":\"Friends\",\"subs\":\"both\""
    )
}

fn membership(room: &str, user: &str) -> String {
    format!("\"name\":\"{room}\",{SERVICE},\"jid\":\"{user}@localhost\",\"affiliation\":\"member\"")
}
