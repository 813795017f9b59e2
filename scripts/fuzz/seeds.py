"""Puts into a new Kith what examples are about."""

import hashlib

from faults.process import wait_until
from fuzz.known import OTHER, PASSWORD, SYSTEM, Known
from kith_client import Failure, Kith, png

USERS = ("admin", "anna", "boris", "clara", "dora", "emil")
VICTIMS = ("victim-1", "victim-2", "victim-3")
KEYS = ("fuzz-key-1", "fuzz-key-2", "fuzz-key-3")
COURSE = hashlib.md5(b"course").hexdigest()


def is_judged(kith):
    try:
        return kith.online("anna") == []
    except Failure:
        return False


def seed(address):
    kith = Kith(address, "tuoyun", SYSTEM, "kith-dev-token")
    other = Kith(address, "tuoyun-2", OTHER, "kith-dev-token-2")
    known = Known(users=list(USERS), victims=list(VICTIMS), others=["viola", "walter"], courses=[COURSE])
    for uid in (*USERS, *VICTIMS):
        known.tokens.append(kith.register(uid, password=PASSWORD))
        known.passwords[uid] = [PASSWORD]
    # With Redis nobody knows who is online until every node had time to say so.
    wait_until(lambda: is_judged(kith), 10, lambda: "who is online")
    known.tokens += [other.register(uid) for uid in known.others]
    for uid in ("anna", "boris"):
        link = kith.avatar(uid, png(uid))
        known.media.append(link.rsplit("/", 1)[1])
    for n in range(4):
        credentials = {"username": "admin", "password": PASSWORD}
        group = kith.form("/im/group_create/", name=f"group {n}", **credentials)["group_id"]
        known.groups.append(group)
        for uid in ("anna", "boris"):
            kith.form(f"/im/{group}/group_join/", username=uid, password=PASSWORD)
    kith.im("addFriend", useracc="anna", friendUseracc="boris", message="It is me")
    kith.im("friendAgree", useracc="boris", friendUseracc="anna")
    kith.im("addFriend", useracc="clara", friendUseracc="anna")
    kith.im("addFriend", useracc="dora", friendUseracc=f"{OTHER}#viola")
    for key in KEYS:
        known.keys.append(key)
        kith.action("tu_rc_sync_urb_from_hp", tuser_key=key, name=f"name of {key}")
        known.tokens.append(kith.action("tu_rc_get_urt_from_hp", tuser_key=key)["token"])
        kith.action(
            "tu_sync_lnvalidth_from_tn",
            tuser_key=key,
            ln_md5=COURSE,
            start_time="2016-04-01 01:01:01",
            end_time="2036-05-01 01:01:01",
        )
    return known
