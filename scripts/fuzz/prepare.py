"""Makes what a call needs: a friendship, a request that waits, a membership."""

from fuzz.known import PASSWORD, SYSTEM
from kith_client import Failure

# Of examples of these calls so many.
PREPARED = 0.6


def befriend(kith, me, other):
    kith.im("importFriends", friendsList=[{"useracc": me, "friendUseracc": other}])


def ask(kith, me, other):
    befriend(kith, me, other)
    kith.im("delFriend", useracc=me, friendUseracc=other, allDel="1")
    kith.im("setUserVerify", useracc=me, addVerify="1")
    kith.im("addFriend", useracc=other, friendUseracc=me)


NEEDED = {
    "delFriend": befriend,
    "setFriendRemark": befriend,
    "getFriendInfo": befriend,
    "friendAgree": ask,
    "friendRefuse": ask,
}


def prepare(case, known, rng, kith):
    needed = NEEDED.get(case.path.rsplit("/", 1)[-1])
    body = case.body
    if needed is None or not isinstance(body, dict) or rng.random() > PREPARED:
        return
    names = ("useracc", "friendUseracc")
    if all(isinstance(body.get(name), str) and 0 < len(body[name]) <= 64 for name in names):
        me, other = rng.sample(known.users, 2)
        needed(kith, me, other)
        case.body = {**body, "useracc": me, "friendUseracc": other}
        case.path_parameters = {**case.path_parameters, "appId": SYSTEM}


def join(case, known, kith):
    """Who is to quit a group is in it, if it is there."""
    username = case.body.get("username") if isinstance(case.body, dict) else None
    group = (case.path_parameters or {}).get("group_id")
    if case.path.rstrip("/").endswith("/group_quit") and username in known.users[1:] and group in known.groups:
        try:
            kith.form(f"/im/{group}/group_join/", username=username, password=PASSWORD)
        except Failure:
            # Dismissed meanwhile: it quits no group then.
            return
