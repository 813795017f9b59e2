"""Family A's client: terminal users with courses and records, who now and then replace their key.

Entries: `("lineage", n)` → the key that is in force and everything that stands under it; nothing may stand under the
keys before it. `("name", key)` → the name that was given.
"""

from faults.workload import Actor

KINDS = ("recharge", "feedback", "consumption", "click")


class Terminal(Actor):
    def __init__(self, crew, name):
        super().__init__(crew, name)
        # lineage → all keys that it ever had or may have had
        self.lines = {}

    def step(self):
        lineages = self.book.keys("lineage")
        chance = self.rng.random()
        if not lineages or chance < 0.08:
            return self.begin()
        lineage = self.rng.choice(lineages[-15:])
        if chance < 0.2 and self.book.state(lineage)[1]:
            self.replace(lineage)
        elif chance < 0.35:
            self.rename()
        elif chance < 0.6:
            self.course(lineage)
        else:
            self.record(lineage)

    def begin(self):
        key = self.fresh("t")
        lineage = ("lineage", key)
        self.lines[lineage] = [key]
        self.book.know(lineage, (key, frozenset()))
        self.course(lineage)

    def put(self, lineage, row, call, **fields):
        """A row takes the place of one with the same first two columns."""
        key = self.book.state(lineage)[0]

        def change(state):
            return state[0], frozenset(r for r in state[1] if r[:2] != row[:2]) | {row}

        self.write({lineage: change}, lambda: self.kith.a(call, tuser_key=key, **fields))

    def course(self, lineage):
        course = f"{self.rng.randrange(3):032x}"
        day = self.rng.randrange(1, 28)
        start, end = f"2026-01-{day:02} 00:00:00", f"2027-01-{day:02} 00:00:00"
        row = ("validity", course, start, end)
        self.put(lineage, row, "tu_sync_lnvalidth_from_tn", ln_md5=course, start_time=start, end_time=end)

    def record(self, lineage):
        kind, name, amount = self.rng.choice(KINDS), f"r{self.rng.randrange(6)}", self.rng.randrange(1, 10_000)
        row = (kind, name, str(amount), "")
        price = f"{amount // 100}.{amount % 100:02}"
        self.put(lineage, row, "tu_sync_record_from_tn", kind=kind, record_id=name, amount=price)

    def replace(self, lineage):
        old, new = self.book.state(lineage)[0], self.fresh("t")
        self.lines[lineage].append(new)
        self.write(
            {lineage: lambda state: (new, state[1])},
            lambda: self.kith.a("tu_rk_replace_from_tn", tuser_key_s=old, tuser_key_d=new),
        )

    def rename(self):
        names = self.book.keys("name")
        if len(names) < 10 or self.rng.random() < 0.2:
            key = ("name", self.fresh("n"))
            self.book.know(key, "")
        else:
            key = self.rng.choice(names)
        name = self.fresh("name")
        self.write({key: lambda _: name}, lambda: self.kith.a("tu_rc_sync_urb_from_hp", tuser_key=key[1], name=name))
