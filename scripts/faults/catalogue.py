"""The faults: what each does, to whom, and how it ends."""

import signal
import time

from faults import proxy
from faults.servers import SERVICES

# Kinds in the order of the table; how often each comes in a deck.
KILL = "kill -9 of a process"
STOP = "SIGSTOP of a process"
POSTGRES = "PostgreSQL restart"
REDIS = "Redis restart"
FLUSH = "Redis flush"
DUMP = "Redis back with an old dump"
DISK = "full disk of PostgreSQL"
CUT = "connections cut mid-answer"
SLOW = "slow upstream"
HOLE = "black-holed upstream"
WEIGHTS = {KILL: 5, STOP: 4, POSTGRES: 1, REDIS: 1, FLUSH: 1, DUMP: 1, DISK: 1, CUT: 2, SLOW: 1, HOLE: 2}


class Fault:
    """`begin` and `end` it; `hold` seconds lie between."""

    def __init__(self, kind, target, hold, begin, end):
        self.kind = kind
        self.target = target
        self.hold = hold
        self.begin = begin
        self.end = end

    def __str__(self):
        return f"{self.kind}: {self.target}, {self.hold:.1f} s"


class Bag:
    """Every one in random order before any comes again."""

    def __init__(self, rng, things):
        self.rng = rng
        self.things = list(things)
        self.left = []

    def draw(self):
        if not self.left:
            self.left = self.rng.sample(self.things, len(self.things))
        return self.left.pop()


class Catalogue:
    def __init__(self, cluster, rng):
        self.cluster = cluster
        self.rng = rng
        self.skipped = []
        kinds = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
        if not cluster.postgres.mounted:
            kinds.remove(DISK)
            self.skipped.append(DISK)
        self.kinds = Bag(rng, kinds)
        self.first = rng.sample(sorted(set(kinds)), len(set(kinds)))
        processes = sorted(cluster.everybody())
        upstream = [f"gateway to {s}-2" for s in SERVICES]
        stores = [f"{s}-2 to {store}" for s in SERVICES for store in ("postgres", "redis")]
        self.bags = {
            KILL: Bag(rng, processes),
            STOP: Bag(rng, processes),
            CUT: Bag(rng, [*upstream, *stores, "clients", "clients"]),
            SLOW: Bag(rng, [*upstream, *stores]),
            HOLE: Bag(rng, [*upstream, *stores, "clients"]),
        }

    def draw(self, only=""):
        """The next one whose name has `only` in it."""
        for _ in range(1000):
            fault = self.draw_any()
            if only in str(fault):
                return fault
        raise SystemExit(f"no fault has {only!r} in its name")

    def draw_any(self):
        """Each kind once before the weights count: short runs see most kinds."""
        kind = self.first.pop() if self.first else self.kinds.draw()
        make = {
            KILL: self.kill,
            STOP: self.stop,
            POSTGRES: self.postgres,
            REDIS: self.redis,
            FLUSH: self.flush,
            DUMP: self.dump,
            DISK: self.disk,
        }.get(kind)
        return make() if make else self.link(kind)

    def kill(self):
        name = self.bags[KILL].draw()
        process = self.cluster.everybody()[name]
        return Fault(KILL, name, self.rng.uniform(0.2, 4), process.kill, self.cluster.start_killed)

    def stop(self):
        name = self.bags[STOP].draw()
        process = self.cluster.everybody()[name]
        # Long enough for its users to count as offline.
        hold = 9 if name.startswith("im_auth") else self.rng.uniform(2, 8)
        return Fault(STOP, name, hold, process.stop, process.resume)

    def postgres(self):
        """In a hurry, or as gently as it gets while clients stay."""
        how = self.rng.choice(["SIGINT", "SIGQUIT"])
        server = self.cluster.postgres
        return Fault(
            POSTGRES, how, self.rng.uniform(0, 3), lambda: server.end(getattr(signal, how)), self.cluster.start_killed
        )

    def redis(self):
        """Back with what it had, or with nothing."""
        keeps = self.rng.random() < 0.5
        server = self.cluster.redis

        def begin():
            if keeps:
                server.say("SAVE")
            server.end(signal.SIGTERM)

        return Fault(
            REDIS,
            "with its data" if keeps else "empty",
            self.rng.uniform(0, 4),
            begin,
            lambda: server.start_again(server.dump if keeps else None),
        )

    def flush(self):
        return Fault(FLUSH, "FLUSHALL", 0, lambda: self.cluster.redis.say("FLUSHALL"), lambda: None)

    def dump(self):
        """The state of some seconds ago comes back, as after a failed replica takes over."""
        server, age = self.cluster.redis, self.rng.uniform(2, 6)

        def begin():
            server.keep_dump()
            time.sleep(age)
            server.kill()

        return Fault(DUMP, f"{age:.1f} s old", self.rng.uniform(0, 3), begin, lambda: server.start_again(server.kept))

    def disk(self):
        """Either room runs out as clients write, or none is left for the log of changes: that ends the server, again
        and again until there is room."""
        server = self.cluster.postgres
        log_too = self.rng.random() < 0.5

        def begin():
            server.fill_disk()
            if log_too:
                server.fill_log()

        def end():
            server.free_disk()
            server.until_up()

        what = "not a byte for its log" if log_too else "not a byte for its tables"
        return Fault(DISK, what, self.rng.uniform(6, 10), begin, end)

    def link(self, kind):
        name = self.bags[kind].draw()
        mode = {CUT: proxy.CUT, SLOW: proxy.SLOW, HOLE: proxy.HOLE}[kind]
        turn = self.cluster.proxy.turn
        return Fault(
            kind, name, self.rng.uniform(2, 8), lambda: turn(name, mode), lambda: turn(name, proxy.PASS)
        )
