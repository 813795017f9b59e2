"""The same as seen by clients: what was written lately is there for whoever asks the gateway."""

import time

from faults.client import Client
from faults.friends import FRIENDS
from faults.friends import Friends as FriendsActor
from faults.groups import Groups as GroupsActor
from faults.identity import DEAD
from faults.identity import Identity as IdentityActor
from faults.terminal import Terminal as TerminalActor

# Entries that are read of each client and round; the databases are compared whole.
SOME = 5
# Connections may have been closed while nobody used them.
TRIES = 5
# No copy of a token's state or of a profile is older (contract §0, §2).
STALE = 7.0


class Reader:
    """Entries must be sure: compare with the databases before."""

    def __init__(self, cluster, rng, report):
        self.cluster = cluster
        self.rng = rng
        self.report = report
        self.kith = Client(cluster.client_port)

    def read(self, actors, since):
        """`since`: when the last fault ended."""
        self.fresh_from = since + STALE
        for actor in actors:
            read = {
                IdentityActor: self.identity,
                FriendsActor: self.friends,
                GroupsActor: self.groups,
                TerminalActor: self.terminal,
            }[type(actor)]
            read(actor)

    def some(self, actor, kind, number=SOME):
        """Mostly of this round, some older."""
        late = [k for k in actor.book.touched if k[0] == kind]
        early = [k for k in actor.book.states if k[0] == kind and k not in actor.book.touched]
        # Sorted by text: keys of one kind may hold numbers.
        late, early = sorted(late, key=str), sorted(early, key=str)
        chosen = self.rng.sample(late, min(len(late), number))
        return chosen + self.rng.sample(early, min(len(early), number // 3))

    def expect(self, what, call, right):
        """Reads again while what is shown may still be an old copy."""
        tries = 0
        while True:
            answer = call()
            tries += 1
            if answer is not None and right(answer):
                return
            late = time.monotonic() > self.fresh_from + self.cluster.lag.since(self.fresh_from - STALE)
            if late and tries >= TRIES:
                return self.report(f"clients see {what}: {answer}")
            time.sleep(0.3)

    def identity(self, actor):
        keys = self.some(actor, "account", 3 * SOME)
        uids = [uid for _, uid in keys]

        def right(answer):
            wanted = {uid: actor.book.state(("account", uid)) for uid in uids}
            shown = {user["uid"]: user["sign"] for user in answer.body.get("data", [])}
            return answer.ok and shown == {uid: sign for uid, sign in wanted.items() if sign is not None}

        if uids:
            call = lambda: self.kith.b("/user/get_users_info", userIDList=uids)
            self.expect(f"other accounts than {[(k[1], actor.book.state(k)) for k in keys]}", call, right)
        for key in self.some(actor, "token"):
            text = actor.texts.get(key[1])
            if text:
                codes = {"702", "706"} if actor.book.state(key) == DEAD else {"0"}
                self.expect(
                    f"a token that is not {actor.book.state(key)}",
                    lambda text=text: self.kith.b("/auth/parse_token", token=text),
                    lambda answer, codes=codes: answer.why in codes,
                )

    def friends(self, actor):
        book = actor.book
        owners = {name for key in self.some(actor, "pair") for name in key[1:]}
        owners |= {key[1] for key in self.some(actor, "import", 2)}
        lists = {owner: set() for owner in owners}
        for key in book.states:
            ends = []
            if key[0] == "pair" and book.state(key) == FRIENDS:
                ends = [key[1:]]
            elif key[0] == "import" and book.state(key):
                ends = [(key[1], f"{key[2]}.{n}") for n in range(key[3])]
            for one, other in ends:
                for owner, friend in ((one, other), (other, one)):
                    if owner in lists:
                        lists[owner].add(f"kith#{friend}")
        for owner, wanted in lists.items():
            self.expect(
                f"other friends of {owner} than {wanted}",
                lambda owner=owner: self.kith.d("getFriends", useracc=owner, isUpdate="0", isAllPage="1"),
                lambda answer, wanted=wanted: sorted(f["useracc"] for f in answer.body.get("friendsList", []))
                == sorted(wanted),
            )

    def groups(self, actor):
        book, admin = actor.book, actor.admin
        for key in self.some(actor, "group"):
            wanted = book.state(key)

            def right(answer, wanted=wanted):
                if wanted is None:
                    return answer.why == "no such group"
                return sorted(m["username"] for m in answer.body.get("userinfos", [])) == sorted(wanted)

            self.expect(
                f"group {key[1]} not as {wanted}",
                lambda key=key: self.kith.c(f"/im/{key[1]}/group_get_user_list/", admin, actor.tokens[admin]),
                right,
            )
        for uid in self.rng.sample(sorted(actor.tokens), 3):
            wanted = sorted(key[1] for key in book.keys("group", lambda m, uid=uid: m is not None and uid in m))
            self.expect(
                f"{uid} in other groups than {wanted}",
                lambda uid=uid: self.kith.c("/im/user_get_group_list/", uid, actor.tokens[uid]),
                lambda answer, wanted=wanted: answer.ok and sorted(g["id"] for g in answer.body["groups"]) == wanted,
            )

    def terminal(self, actor):
        for lineage in self.some(actor, "lineage"):
            key, rows = actor.book.state(lineage)
            for old in actor.lines[lineage][-3:]:
                courses = {r[1]: r[2:] for r in rows if r[0] == "validity"} if old == key else {}
                for course in self.rng.sample([f"{n:032x}" for n in range(3)], 1):
                    wanted = courses.get(course)

                    def right(answer, wanted=wanted):
                        there = answer.body.get("isExisted") == "1"
                        return answer.ok and wanted == (
                            (answer.body["start_time"], answer.body["end_time"]) if there else None
                        )

                    self.expect(
                        f"course {course} of {old} not as {wanted}",
                        lambda old=old, course=course: self.kith.a(
                            "tu_ua_get_info_from_tn", type="lnvalidth", tuser_key=old, ln_md5=course
                        ),
                        right,
                    )
        for key in self.some(actor, "name"):
            wanted = actor.book.state(key)
            if wanted:
                self.expect(
                    f"a terminal user not named {wanted}",
                    lambda key=key: self.kith.a("tu_rc_get_usr_from_hp", tuser_key=key[1], type="name"),
                    lambda answer, wanted=wanted: answer.body.get("name") == wanted,
                )
