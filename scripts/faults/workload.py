"""Clients who write all the time, and how they treat what is not answered."""

import random
import threading
import time
import traceback

from faults.client import Client

TRIES = 4
# Between a client's calls, so that all together leave the machine some air.
PACE = (0.0, 0.1)


class Actor(threading.Thread):
    """One client with users of its own. `step` does one thing; `write` is the only way to change anything."""

    def __init__(self, crew, name):
        super().__init__(name=name, daemon=True)
        self.crew = crew
        self.rng = random.Random(f"{crew.seed}-{name}")
        far = len(crew.actors) % 2 == 1
        self.kith = Client(crew.cluster.far_port if far else crew.cluster.client_port, crew.counts)
        self.book = crew.ledger.book(name)
        self.made = 0

    def fresh(self, prefix):
        """A name that nobody else uses."""
        self.made += 1
        return f"{prefix}-{self.name}-{self.made}"

    def prepare(self):
        """What must stand before anything is broken."""

    def step(self):
        raise NotImplementedError

    def run(self):
        while True:
            self.crew.wait_for_turn()
            try:
                self.step()
            except Exception:
                self.crew.report(f"{self.name}: {traceback.format_exc()}")
            time.sleep(self.rng.uniform(*PACE))

    def write(self, changes, call, already=None, tries=TRIES):
        """Sends a write until it is answered; `changes` maps the ledger's keys to what it does to their states.

        `already` are refusals that say, to a repeated call, that an earlier one was done.
        """
        for key, change in changes.items():
            self.book.intend(key, change)
        for attempt in range(tries):
            answer = call()
            if answer is not None:
                break
            self.book.unanswered.update(changes)
            if self.crew.pausing:
                return None
            time.sleep(0.1 * 2**attempt)
        else:
            return None
        if not answer.ok and not (attempt > 0 and already and answer.why in already):
            self.crew.report(f"{self.name}: a write of {list(changes)} was refused: {answer}")
            return answer
        for key, change in changes.items():
            self.book.done(key, change)
        self.book.acknowledged += 1
        return answer


class Crew:
    """All actors; they can be asked to pause between two steps."""

    def __init__(self, cluster, ledger, counts, seed, report):
        self.cluster = cluster
        self.ledger = ledger
        self.counts = counts
        self.seed = seed
        self.report = report
        self.actors = []
        self.pausing = True
        self.condition = threading.Condition()
        self.waiting = 0

    def start(self):
        for actor in self.actors:
            actor.prepare()
            actor.start()
        self.go_on()

    def wait_for_turn(self):
        with self.condition:
            self.waiting += 1
            self.condition.notify_all()
            while self.pausing:
                self.condition.wait()
            self.waiting -= 1

    def pause(self):
        """Returns when nobody is in the middle of anything."""
        with self.condition:
            self.pausing = True
            while self.waiting < len(self.actors):
                self.condition.wait()

    def go_on(self):
        with self.condition:
            self.pausing = False
            self.condition.notify_all()
