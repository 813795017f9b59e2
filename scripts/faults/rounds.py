"""One round: clients write, something breaks, it ends, Kith heals by itself, and everything is read."""

import concurrent.futures
import time

from faults import checks
from faults.catalogue import KILL, STOP
from faults.client import Client
from faults.sockets import shown

# After a fault's end presence is exact again by then (contract, design §4), on a machine that has nothing else to do.
PRESENCE = 5.0
# No document says by when the rest must have healed; these include the start of killed processes.
HEALED = 10.0
GIVE_UP = 60.0
# So many calls of each family in a row must be answered, since every other one goes to the other process.
IN_A_ROW = 4
PROBE = "probe"
SILENCE = 3.0


class Result:
    def __init__(self, number, fault):
        self.number = number
        self.kind = fault.kind
        self.fault = str(fault)
        self.acknowledged = 0
        self.calls = 0
        self.failed = 0
        self.slowest = 0.0
        self.presence = 0.0
        self.recovery = 0.0
        self.violations = []
        # Seconds that fault, recovery, comparing, reading and the last look at the sockets took.
        self.phases = []


class Prober:
    """Asks every family for a write that changes nothing the second time."""

    def __init__(self, crew):
        # One for each family: they are asked at the same time.
        clients = {family: Client(crew.cluster.client_port, timeout=5) for family in "ABCD"}
        kith = clients["C"]
        kith.insist(lambda: kith.register("p-admin", isAdmin=True))
        token = kith.insist(lambda: kith.token("p-admin", 7))
        crew.ledger.book("probe").know(("creation", PROBE), 1)
        made = kith.insist(lambda: kith.c("/im/group_create/", "p-admin", token, name=PROBE))
        group = made.body["group_id"]
        self.calls = {
            "A": lambda: clients["A"].a(
                "tu_sync_lnvalidth_from_tn",
                tuser_key=PROBE,
                ln_md5="0" * 32,
                start_time="2026-01-01 00:00:00",
                end_time="2027-01-01 00:00:00",
            ),
            "B": lambda: clients["B"].b("/user/update_user_info", uid="p-admin", sign="probe"),
            "C": lambda: kith.c(f"/im/{group}/group_join/", "p-admin", token),
            "D": lambda: clients["D"].d("setUserVerify", useracc=PROBE, addVerify="1"),
        }

class Game:
    def __init__(self, cluster, crew, sockets, reader, prober, violations):
        self.cluster = cluster
        self.crew = crew
        self.sockets = sockets
        self.reader = reader
        self.prober = prober
        self.violations = violations
        self.kith = Client(cluster.client_port, timeout=5)
        self.pool = concurrent.futures.ThreadPoolExecutor(16)

    def play(self, number, fault, rng):
        result = Result(number, fault)
        ledger = self.crew.ledger
        ledger.new_round()
        before = ledger.acknowledged()
        pids = self.pids()
        began = time.monotonic()
        self.crew.counts.take()
        self.crew.counts.late = False
        self.violations.clear()
        self.crew.go_on()
        time.sleep(rng.uniform(1, 2))

        self.hurt(fault, rng)
        ended = time.monotonic()
        self.sockets.freeze()
        result.presence, result.recovery = self.recover(ended)

        marks = [began, ended, time.monotonic()]
        self.crew.pause()
        ledger.fault_is_over()
        result.acknowledged = ledger.acknowledged() - before
        result.calls, result.failed, result.slowest = self.crew.counts.take()
        checks.compare(self.cluster.postgres, self.crew, self.crew.report)
        marks.append(time.monotonic())
        self.reader.read(self.crew.actors, ended)
        marks.append(time.monotonic())
        self.presence_stays(ended)
        if self.crew.counts.late and not (fault.kind == STOP and fault.target == "gateway"):
            self.crew.report("a client was told 408, and it was not the client who was late")
        for name, pid in self.pids().items():
            was = pids[name]
            if pid != was and not (fault.kind == KILL and fault.target == name):
                self.crew.report(f"{name} ended by itself")
        self.sockets.thaw()
        marks.append(time.monotonic())
        result.phases = [later - earlier for earlier, later in zip(marks, marks[1:])]
        result.violations = list(self.violations)
        return result

    def pids(self):
        return {name: p.child.pid if p.alive() else None for name, p in self.cluster.kith.items()}

    def hurt(self, fault, rng):
        node = fault.target if fault.target.startswith("im_auth-") else None
        watched = node and (fault.kind == STOP or fault.kind == KILL and rng.random() < 0.7)
        without = ""
        if watched:
            # Before the freeze: it needs a socket of its own.
            without = self.sockets.process_of(self.cluster.kith[node].port)
            self.sockets.freeze()
        began = time.monotonic()
        fault.begin()
        if watched:
            self.count_as_offline(node, without if fault.kind == STOP else "", began)
        time.sleep(max(0.0, began + fault.hold - time.monotonic()))
        if watched:
            self.sockets.thaw()
        fault.end()

    def count_as_offline(self, node, without, began):
        """Whoever hangs on a process that is dead or frozen is offline, for all others, in 5 s."""
        other = {"im_auth-1": "im_auth-2", "im_auth-2": "im_auth-1"}[node]
        # Asked directly: the gateway may still be waiting for the frozen one.
        asked = Client(self.cluster.kith[other].port, timeout=5)
        self.until_shown(asked, without, began, f"{node} was stopped or killed")

    def is_shown(self, client, without=""):
        """Whether what is shown is what is so; what is shown and what is so where not."""
        wanted = self.sockets.online(without)
        found = shown(client, sorted(wanted))
        if found == wanted and self.sockets.online(without) == wanted:
            return True, ""
        if found is None:
            return False, "presence is not known"
        wrong = {uid: (sorted(found.get(uid, ())), sorted(s)) for uid, s in wanted.items() if found.get(uid) != s}
        return False, f"shown and really open: {wrong}"

    def until_shown(self, client, without, began, what):
        while True:
            right, why = self.is_shown(client, without)
            took = time.monotonic() - began
            if right:
                break
            if took > GIVE_UP:
                self.crew.report(f"presence is never right after {what}: {why}")
                break
            time.sleep(0.05)
        bound = PRESENCE + self.cluster.lag.since(began)
        if right and took > bound:
            self.crew.report(f"presence is right only {took:.1f} s (bound {bound:.1f} s) after {what}")
        return took

    def presence_stays(self, ended):
        silent = self.sockets.dead(SILENCE + self.cluster.lag.since(ended))
        if silent:
            self.crew.report(f"open sockets at whose other end nobody answers: {silent}")
        self.until_shown(self.kith, "", time.monotonic(), "the check")

    def recover(self, ended):
        """Seconds until presence is right, and until also every process is healthy and every family answered."""
        until = ended + GIVE_UP
        checks_of = {f"{p.name} is healthy": (p.healthy, 1) for p in self.cluster.kith.values()}
        checks_of |= {f"family {family} is answered": (call, IN_A_ROW) for family, call in self.prober.calls.items()}
        # All at once: one after the other would measure the asking.
        waiting = {what: self.pool.submit(since_when, *check, until) for what, check in checks_of.items()}
        presence = self.until_shown(self.kith, "", ended, "the fault's end")
        healed = {what: future.result() for what, future in waiting.items()}
        never = [what for what, at in healed.items() if at is None]
        if never:
            self.crew.report(f"not within {GIVE_UP:.0f} s: {', '.join(never)}")
            return presence, GIVE_UP
        took = max(presence, *(at - ended for at in healed.values()))
        bound = HEALED + self.cluster.lag.since(ended)
        if took > bound:
            last = max(healed, key=healed.get)
            self.crew.report(f"healed only {took:.1f} s (bound {bound:.1f} s) after the fault's end: {last}")
        return presence, took


def since_when(check, in_a_row, until):
    """Since when it has been true, so many times in a row; nothing if that takes too long."""
    began, row = None, 0
    while row < in_a_row:
        asked = time.monotonic()
        if asked > until:
            return None
        answer = check()
        if answer and getattr(answer, "ok", True):
            began = began or time.monotonic()
            row += 1
        else:
            began, row = None, 0
            time.sleep(0.05)
    return began


def last_words(cluster, report, within=75):
    """What is done in the background must come to an end."""
    until = time.monotonic() + within
    while True:
        dismissed = cluster.postgres.query("groups", "SELECT id FROM dismissed_groups")
        left = [("a dismissed group is not swept", row) for row in dismissed]
        for service in ("im_auth", "terminal_user", "groups"):
            rows = cluster.postgres.query(service, "SELECT kind, lane, key, dead, reason FROM outbox")
            left += [(f"{service} has not told others", row) for row in rows]
        if not left:
            return
        if time.monotonic() > until:
            for what, row in left[:10]:
                report(f"{what}: {row}")
            return
        time.sleep(1)
