"""See `scripts/faults.sh`."""

import argparse
import random
import sys
import time

from faults.catalogue import Catalogue
from faults.client import Counts
from faults.cluster import Cluster
from faults.friends import Friends
from faults.groups import Groups
from faults.identity import Identity
from faults.ledger import Ledger
from faults.reading import Reader
from faults.report import table
from faults.rounds import Game, Prober, last_words
from faults.sabotage import check_the_checks
from faults.sockets import Sockets
from faults.terminal import Terminal
from faults.workload import Crew

# Clients by family.
CLIENTS = {Identity: 3, Friends: 3, Groups: 2, Terminal: 2}


# What goes wrong may go wrong a thousand times.
SHOWN = 10


class Violations(list):
    """Said as they come, collected by round."""

    def report(self, text):
        self.append(text)
        if len(self) <= SHOWN:
            print(f"  VIOLATION: {text}", flush=True)


def main():
    arguments = argparse.ArgumentParser(prog="scripts/faults.sh")
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments.add_argument("--only", default="", help="only faults with this in their name: 'SIGSTOP', 'im_auth-2'")
    arguments.add_argument("--folder", required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--binaries", required=True, help="folder with gateway and svc-…")
    given = arguments.parse_args()
    print(f"seed {given.seed}, {given.rounds} rounds", flush=True)

    violations = Violations()
    cluster = Cluster(given.folder, given.binaries, given.seed)
    try:
        results, late = run(given, cluster, violations)
    finally:
        cluster.stop()
    print(f"\n{table(results)}\n")
    for result in results:
        if result.violations:
            print(f"round {result.number} ({result.fault}): {len(result.violations)} violations")
    wrong = sum(len(r.violations) for r in results) + len(late)
    print(f"seed {given.seed}: {len(results)} rounds, {wrong} violations, {len(late)} of them at the end")
    sys.exit(1 if wrong else 0)


def run(given, cluster, violations):
    rng = random.Random(given.seed)
    cluster.start()
    counts, ledger = Counts(), Ledger()
    crew = Crew(cluster, ledger, counts, given.seed, violations.report)
    for kind, number in CLIENTS.items():
        for n in range(number):
            crew.actors.append(kind(crew, f"{kind.__name__.lower()}{n}"))
    sockets = Sockets(cluster, given.seed, counts)
    sockets.start()
    crew.start()
    catalogue = Catalogue(cluster, rng)
    for kind in catalogue.skipped:
        print(f"SKIPPED: {kind}: this user may not mount a small disk", flush=True)
    reader = Reader(cluster, rng, crew.report)
    game = Game(cluster, crew, sockets, reader, Prober(crew), violations)
    results = []
    for number in range(1, given.rounds + 1):
        began = time.monotonic()
        result = game.play(number, catalogue.draw(given.only), rng)
        results.append(result)
        print(
            f"{number:3} {result.fault}: {result.acknowledged} writes, {result.failed} of {result.calls} calls failed, "
            f"slowest answer {result.slowest:.1f} s, presence right in {result.presence:.1f} s, "
            f"healed in {result.recovery:.1f} s, {len(result.violations)} violations "
            f"({' + '.join(f'{phase:.0f}' for phase in result.phases)} s; "
            f"machine late by {cluster.lag.worst(began):.2f} s at most; {ledger.entries()} entries, {sockets.opened} sockets)",
            flush=True,
        )
    violations.clear()
    last_words(cluster, violations.report)
    check_the_checks(game, violations.report)
    return results, list(violations)


main()
