"""Family C's client: an administrator who makes groups, and members who join and quit.

Entries: `("group", id)` → its members, `None` if it is dismissed; `("creation", name)` → how many groups have the
name: creating is not repeated, since twice would be two groups; what became of it is read.
"""

from faults.workload import Actor

PLATFORM, MEMBERS, GROUPS = 7, 8, 6
GONE, LEFT = {"no such group"}, {"not a member of the group"}


class Groups(Actor):
    def __init__(self, crew, name):
        super().__init__(crew, name)
        self.admin = f"admin-{name}"
        self.tokens = {}

    def prepare(self):
        for uid in [self.admin, *(f"m-{self.name}-{n}" for n in range(MEMBERS))]:
            self.kith.insist(lambda uid=uid: self.kith.register(uid, isAdmin=uid == self.admin))
            self.tokens[uid] = self.kith.insist(lambda uid=uid: self.kith.token(uid, PLATFORM))

    def call(self, uid, path):
        return self.kith.c(path, uid, self.tokens[uid])

    def step(self):
        groups = self.book.keys("group", lambda members: members is not None)
        chance = self.rng.random()
        if len(groups) < 2 or len(groups) < GROUPS and chance < 0.15:
            return self.create()
        key = self.rng.choice(groups)
        members = self.book.state(key)
        outside = [uid for uid in self.tokens if uid not in members]
        inside = [uid for uid in members if uid != self.admin]
        if chance > 0.92:
            self.dismiss(key)
        elif outside and (chance < 0.55 or not inside):
            self.join(key, self.rng.choice(outside))
        elif inside:
            self.quit(key, self.rng.choice(sorted(inside)))

    def create(self):
        name = self.fresh("g")
        self.book.know(("creation", name), 0)
        answer = self.write(
            {("creation", name): lambda _: 1},
            lambda: self.kith.c("/im/group_create/", self.admin, self.tokens[self.admin], name=name),
            tries=1,
        )
        if answer and answer.ok:
            self.adopt(answer.body["group_id"])

    def adopt(self, group):
        self.book.know(("group", group), frozenset([self.admin]))

    def join(self, key, uid):
        self.write(
            {key: lambda members: members and members | {uid}}, lambda: self.call(uid, f"/im/{key[1]}/group_join/")
        )

    def quit(self, key, uid):
        self.write(
            {key: lambda members: members and members - {uid}},
            lambda: self.call(uid, f"/im/{key[1]}/group_quit/"),
            already=LEFT,
        )

    def dismiss(self, key):
        self.write(
            {key: lambda _: None}, lambda: self.call(self.admin, f"/im/{key[1]}/group_dismiss/"), already=GONE
        )
