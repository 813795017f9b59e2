"""What must be true when nothing is broken any more, read from the databases."""

from faults.friends import ASKED, FRIENDS, NONE, PARTED
from faults.identity import DEAD, LIVE

# Each must have no rows. What it would show, the database, the statement.
INVARIANTS = [
    (
        "a friendship that only one side has",
        "friends",
        "SELECT owner, friend FROM friends f WHERE active AND NOT EXISTS (SELECT 1 FROM friends g"
        " WHERE g.owner = f.friend AND g.friend = f.owner AND g.active)",
    ),
    (
        "a request that only one side has, or that is handled on one side only",
        "friends",
        "SELECT owner, other, invited FROM requests r WHERE NOT EXISTS (SELECT 1 FROM requests s"
        " WHERE s.owner = r.other AND s.other = r.owner AND s.invited <> r.invited AND s.done = r.done)",
    ),
    (
        "counters of friends or requests that are not their number",
        "friends",
        "SELECT o.owner, o.friends, f.n, o.pending, r.n FROM owners o"
        " LEFT JOIN (SELECT owner, count(*) n FROM friends WHERE active GROUP BY owner) f USING (owner)"
        " LEFT JOIN (SELECT owner, count(*) n FROM requests WHERE NOT done GROUP BY owner) r USING (owner)"
        " WHERE o.friends <> coalesce(f.n, 0) OR o.pending <> coalesce(r.n, 0)",
    ),
    (
        "a list's clock behind its entries",
        "friends",
        "SELECT o.owner FROM owners o WHERE friends_clock < (SELECT max(stamp) FROM friends f WHERE f.owner = o.owner)"
        " OR requests_clock < (SELECT max(stamp) FROM requests r WHERE r.owner = o.owner)",
    ),
    (
        "a member count that is not the number of members",
        "groups",
        "SELECT g.id, g.members, count(m.uid) FROM groups g LEFT JOIN memberships m ON m.group_id = g.id"
        " GROUP BY g.id HAVING g.members <> count(m.uid)",
    ),
    (
        "counts by block that are not the number of members",
        "groups",
        "SELECT g.id, g.members, b.n FROM groups g LEFT JOIN (SELECT group_id, sum(members) n FROM membership_blocks"
        " GROUP BY group_id) b ON b.group_id = g.id WHERE g.members <> coalesce(b.n, 0)",
    ),
    (
        "a member in a dead group that nobody sweeps",
        "groups",
        "SELECT group_id, uid FROM memberships m WHERE NOT EXISTS (SELECT 1 FROM groups g WHERE g.id = m.group_id)"
        " AND NOT EXISTS (SELECT 1 FROM dismissed_groups d WHERE d.id = m.group_id)",
    ),
    (
        "a group whose owner is no member",
        "groups",
        "SELECT id FROM groups g WHERE NOT EXISTS (SELECT 1 FROM memberships m"
        " WHERE m.group_id = g.id AND m.uid = g.owner)",
    ),
    (
        "rows that a key's replacement left under a key that nobody knows",
        "terminal_user",
        "SELECT im_uid FROM (SELECT im_uid FROM validities UNION SELECT im_uid FROM records) r"
        " WHERE NOT EXISTS (SELECT 1 FROM terminal_users t WHERE t.im_uid = r.im_uid)",
    ),
]


class Databases:
    """Reads everything once and says in what state each entry of the ledger is."""

    def __init__(self, postgres):
        accounts, tokens = postgres.queries(
            "im_auth",
            ["SELECT uid, sign, name, implicit FROM accounts WHERE app_id = 'kith'", "SELECT id, state FROM tokens"],
        )
        friends, requests = postgres.queries(
            "friends",
            ["SELECT owner, friend, active FROM friends", "SELECT owner, other, invited, done FROM requests"],
        )
        groups, members = postgres.queries(
            "groups", ["SELECT id, name FROM groups", "SELECT group_id, uid FROM memberships"]
        )
        rows, im_uids = postgres.queries(
            "terminal_user",
            [
                "SELECT t.tuser_key, 'validity', ln_md5, start_time, end_time FROM validities"
                " JOIN terminal_users t USING (im_uid)"
                " UNION ALL SELECT t.tuser_key, kind, record_id, amount::text, '' FROM records"
                " JOIN terminal_users t USING (im_uid)",
                "SELECT tuser_key, im_uid FROM terminal_users",
            ],
        )
        self.signs, self.names = {}, {}
        for uid, sign, name, implicit in accounts:
            self.names[uid] = name
            if implicit == "f":
                self.signs[uid] = sign
        self.tokens = dict(tokens)
        self.friends = {(owner, friend): active == "t" for owner, friend, active in friends}
        self.requests = {(owner, other, invited): done == "t" for owner, other, invited, done in requests}
        self.groups = dict(groups)
        self.members = {}
        for group, uid in members:
            self.members.setdefault(group, set()).add(uid)
        self.rows = {}
        for key, *row in rows:
            self.rows.setdefault(key, set()).add(tuple(row))
        self.im_uids = dict(im_uids)

    def state(self, key, actor):
        return getattr(self, "_" + key[0])(key, actor)

    def _account(self, key, _):
        return self.signs.get(key[1])

    def _token(self, key, _):
        return {"0": LIVE, None: "gone"}.get(self.tokens.get(key[1]), DEAD)

    def _pair(self, key, _):
        one, other = (f"kith#{name}" for name in key[1:])
        friends = {self.friends.get((one, other)), self.friends.get((other, one))}
        requests = [self.requests.get((one, other, "f")), self.requests.get((other, one, "t"))]
        crossed = [r for r in ((one, other, "t"), (other, one, "f")) if r in self.requests]
        if crossed:
            return f"torn: requests the other way round: {crossed}"
        if friends == {True} and requests == [True, True]:
            return FRIENDS
        if friends == {False} and requests == [True, True]:
            return PARTED
        if friends <= {False, None} and len(friends) == 1 and requests == [False, False]:
            return ASKED
        if friends == {None} and requests == [None, None]:
            return NONE
        return f"torn: friends {friends}, requests {requests}"

    def _import(self, key, _):
        _, hub, first, number = key
        names = [f"{first}.{n}" for n in range(number)]
        there = [(a, b) for n in names for a, b in ((hub, n), (n, hub)) if self.friends.get((f"kith#{a}", f"kith#{b}"))]
        return {0: False, 2 * number: True}.get(len(there), f"torn: {len(there)} of {2 * number}")

    def _group(self, key, _):
        group = str(key[1])
        return frozenset(self.members.get(group, ())) if group in self.groups else None

    def _creation(self, key, actor):
        found = [int(group) for group, name in self.groups.items() if name == key[1]]
        known = [k[1] for k in actor.book.states if k[0] == "group"]
        if not actor.book.sure(key):
            for group in found:
                if group not in known:
                    actor.adopt(group)
            return len(found)
        # A sure one may have been dismissed since.
        return len(found) if len(found) > 1 else actor.book.state(key)

    def _lineage(self, key, actor):
        under = [k for k in actor.lines[key] if self.rows.get(k)]
        if len(under) > 1:
            return f"torn: rows under {under}"
        states = actor.book.states[key]
        there = frozenset(self.rows.get(under[0], ())) if under else frozenset()
        # Of a key without rows nothing shows that it is the one in force.
        return (under[0] if under else next(iter(states))[0], there)

    def _name(self, key, _):
        return self.names.get(self.im_uids.get(key[1]), "")

    def strangers(self, books):
        """What is there and nobody wrote."""
        created = {k[1] for states in books for k in states if k[0] == "creation"}
        found = [f"group {name}" for name in self.groups.values() if name not in created]
        known = set()
        for states in books:
            for key in states:
                if key[0] == "pair":
                    known |= {key[1:], key[:0:-1]}
                elif key[0] == "import":
                    names = [(key[1], f"{key[2]}.{n}") for n in range(key[3])]
                    known |= {*names, *((b, a) for a, b in names)}
        pairs = {tuple(name.removeprefix("kith#") for name in row) for row in self.friends}
        return found + [f"friendship {pair}" for pair in pairs - known]


def compare(postgres, crew, report):
    """Every entry of the ledger, and the invariants. Settles what was in doubt."""
    found = Databases(postgres)
    for actor in crew.actors:
        for key in list(actor.book.states):
            allowed = set(actor.book.states[key])
            state = found.state(key, actor)
            if not actor.book.found(key, state):
                report(f"{actor.name}: {key} is {state}, and must be one of {allowed}")
    for what in found.strangers([book.states for book in crew.ledger.books]):
        report(f"nobody wrote it: {what}")
    for database in sorted({database for _, database, _ in INVARIANTS}):
        asked = [(what, sql) for what, where, sql in INVARIANTS if where == database]
        for (what, _), rows in zip(asked, postgres.queries(database, [sql for _, sql in asked])):
            for row in rows[:5]:
                report(f"{what}: {row}")
