"""At the end the checks are checked: damage is done to the databases behind Kith's back, and each must be seen."""

from faults import checks

# What the checks must say, the database, the damage.
DAMAGE = [
    (
        "a friendship that only one side has",
        "friends",
        "UPDATE friends SET active = false WHERE (owner, friend) ="
        " (SELECT owner, friend FROM friends WHERE active ORDER BY stamp DESC LIMIT 1)",
    ),
    (
        "counters of friends or requests",
        "friends",
        "UPDATE owners SET pending = pending + 1 WHERE owner = (SELECT min(owner) FROM owners)",
    ),
    (
        "a member count that is not the number",
        "groups",
        "UPDATE groups SET members = members + 1 WHERE id = (SELECT max(id) FROM groups)",
    ),
    (
        "('group', ",
        "groups",
        "DELETE FROM memberships WHERE (group_id, uid) = (SELECT group_id, uid FROM memberships"
        " WHERE uid LIKE 'm-%' LIMIT 1)",
    ),
    (
        "a member in a dead group",
        "groups",
        "INSERT INTO memberships (group_id, uid, place, joined_at) VALUES (999999999, 'nobody', 1, 0)",
    ),
    (
        "('creation', ",
        "groups",
        "INSERT INTO groups (name, owner, members, last_place, created_at)"
        " SELECT name, owner, 0, 0, 0 FROM groups WHERE name LIKE 'g-%' LIMIT 1",
    ),
    (
        "nobody wrote it: group stranger",
        "groups",
        "INSERT INTO groups (name, owner, members, last_place, created_at) VALUES ('stranger', 'nobody', 0, 0, 0)",
    ),
    (
        "('account', ",
        "im_auth",
        "UPDATE accounts SET sign = 'lost' WHERE uid = (SELECT max(uid) FROM accounts WHERE uid LIKE 'u-%')",
    ),
    (
        "('token', ",
        "im_auth",
        "DELETE FROM tokens WHERE id = (SELECT id FROM tokens WHERE uid LIKE 'u-%' AND state = 2 LIMIT 1)",
    ),
    (
        "('name', ",
        "im_auth",
        "UPDATE accounts SET name = 'lost' WHERE uid = (SELECT max(uid) FROM accounts WHERE name LIKE 'name-%')",
    ),
    (
        "('lineage', ",
        "terminal_user",
        "DELETE FROM validities WHERE (im_uid, ln_md5) = (SELECT im_uid, ln_md5 FROM validities LIMIT 1)",
    ),
]


def check_the_checks(game, report):
    """Clients must be paused; nothing can be compared afterwards."""
    cluster = game.cluster
    for _, database, sql in DAMAGE:
        if not cluster.postgres.query(database, f"{sql} RETURNING 1"):
            report(f"the harness could not do its damage: {sql}")
    said = []
    checks.compare(cluster.postgres, game.crew, said.append)
    unseen = [what for what, _, _ in DAMAGE if not any(what in text for text in said)]

    game.sockets.freeze()
    person = next((p for p in game.sockets.people if p.open_sockets()), None)
    if person:
        # As if nobody had known of it.
        person.sockets = []
        right, _ = game.is_shown(game.kith)
        if right:
            unseen.append("a user who is shown as online and is not")
    for what in unseen:
        report(f"the checks do not see damage: {what}")
    print(f"checks of the checks: {len(DAMAGE) + bool(person) - len(unseen)} damages seen, {len(unseen)} not")
