"""Family B's client: accounts and tokens.

Entries: `("account", uid)` → its signature text, `None` if it is not registered; `("token", id)` → live or dead.
"""

from faults.client import token_id
from faults.workload import Actor

LIVE, DEAD = "live", "dead"
ALREADY_REGISTERED = {"601"}


class Identity(Actor):
    def __init__(self, crew, name):
        super().__init__(crew, name)
        # uid → platform → ids
        self.tokens = {}
        # id → text, of some
        self.texts = {}

    def step(self):
        uids = [uid for _, uid in self.book.keys("account", lambda sign: sign is not None)]
        chance = self.rng.random()
        if not uids or chance < 0.3:
            self.register()
        elif chance < 0.6:
            self.sign_in(self.rng.choice(uids[-40:]))
        elif chance < 0.8:
            self.log_out(self.rng.choice(uids[-40:]))
        else:
            self.change(self.rng.choice(uids))

    def register(self):
        uid = self.fresh("u")
        self.book.know(("account", uid), None)
        answer = self.write(
            {("account", uid): lambda sign: sign if sign is not None else "new"},
            lambda: self.kith.register(uid, sign="new"),
            already=ALREADY_REGISTERED,
        )
        if answer and answer.ok:
            self.hold(uid, 1, answer)

    def sign_in(self, uid):
        platform = self.rng.choice([1, 2, 3])
        # A token that nobody heard of changes nothing that anybody knows.
        answer = self.write({}, lambda: self.kith.b("/auth/user_token", uid=uid, platform=platform))
        if answer and answer.ok:
            self.hold(uid, platform, answer)

    def hold(self, uid, platform, answer):
        token = answer.body["data"]["token"]
        name = token_id(token)
        self.book.know(("token", name), LIVE)
        self.tokens.setdefault(uid, {}).setdefault(platform, []).append(name)
        self.texts[name] = token
        if len(self.texts) > 500:
            del self.texts[next(iter(self.texts))]

    def log_out(self, uid):
        platform = self.rng.choice([0, 1, 2, 3])
        held = self.tokens.get(uid, {})
        names = [n for p, ids in held.items() if platform in (0, p) for n in ids]
        if names:
            self.write(
                # One that is done late would end later tokens too.
                {("account", uid): lambda sign: sign, **{("token", name): lambda _: DEAD for name in names}},
                lambda: self.kith.b("/auth/force_logout", uid=uid, platform=platform),
            )

    def change(self, uid):
        text = self.fresh("s")
        self.write(
            {("account", uid): lambda _: text},
            lambda: self.kith.b("/user/update_user_info", uid=uid, sign=text),
        )
