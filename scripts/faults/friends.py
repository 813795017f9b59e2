"""Family D's client: requests, friendships and imports.

Entries: `("pair", asker, asked)` → one of the states below, of both sides and both lists together; `("import", hub,
first, number)` → whether all of a batch's friendships are there.
"""

from faults.workload import Actor

NONE, ASKED, FRIENDS, PARTED = "none", "asked", "friends", "parted"
ALREADY_HANDLED, NOT_A_FRIEND = {"112195"}, {"112186"}


class Friends(Actor):
    def __init__(self, crew, name):
        super().__init__(crew, name)
        self.hubs = []

    def step(self):
        chance = self.rng.random()
        if chance < 0.1 or not self.hubs:
            self.import_some()
        elif chance < 0.45:
            self.ask()
        elif chance < 0.8:
            self.agree()
        else:
            self.part()

    def one(self, *states):
        pairs = self.book.keys("pair", lambda state: state in states)
        return self.rng.choice(pairs) if pairs else None

    def ask(self):
        again = self.one(PARTED) if self.rng.random() < 0.3 else None
        if not again:
            if len(self.hubs) < 4 or self.rng.random() < 0.05:
                self.hubs.append(self.fresh("hub"))
            ends = [self.rng.choice(self.hubs[-6:]), self.fresh("f")]
            self.rng.shuffle(ends)
            again = ("pair", *ends)
            self.book.know(again, NONE)
        _, asker, asked = again
        self.write(
            {again: lambda _: ASKED},
            lambda: self.kith.d("addFriend", useracc=asker, friendUseracc=asked, message="hello", source="1"),
        )

    def agree(self):
        pair = self.one(ASKED)
        if pair:
            _, asker, asked = pair
            self.write(
                {pair: lambda _: FRIENDS},
                lambda: self.kith.d("friendAgree", useracc=asked, friendUseracc=asker),
                already=ALREADY_HANDLED,
            )

    def part(self):
        pair = self.one(FRIENDS)
        if pair:
            one, other = self.rng.sample(pair[1:], 2)
            self.write(
                {pair: lambda _: PARTED},
                lambda: self.kith.d("delFriend", useracc=one, friendUseracc=other, allDel="1"),
                already=NOT_A_FRIEND,
            )

    def import_some(self):
        hub, first, number = self.fresh("hub"), self.fresh("im"), self.rng.randrange(2, 60)
        self.hubs.append(hub)
        key = ("import", hub, first, number)
        self.book.know(key, False)
        pairs = [{"useracc": hub, "friendUseracc": f"{first}.{n}"} for n in range(number)]
        self.write({key: lambda _: True}, lambda: self.kith.d("importFriends", friendsList=pairs))
