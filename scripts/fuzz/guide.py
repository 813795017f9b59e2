"""Puts known values where a generated one of the right sort stands, so that examples get past "not found". What is
wrong in an example, or missing, stays so."""

import hashlib
from datetime import datetime, timedelta

from fuzz.known import OTHER, SYSTEM
from kith_client import png

# Of examples with a body or parameters so many stay as they were generated.
RAW = 0.12
# Of fields in the others.
KEPT = 0.15


def useracc(known, rng):
    user = rng.choice(known.users)
    kinds = (user, user, f"{SYSTEM}#{user}", f"{OTHER}#{rng.choice(known.others)}")
    return rng.choice(kinds)


def local_time(known, rng):
    return (datetime(2016, 1, 1) + timedelta(seconds=rng.randrange(20 * 365 * 86400))).strftime("%Y-%m-%d %H:%M:%S")


def user_id(known, rng):
    return rng.choice([hashlib.md5(rng.choice(known.keys).encode()).hexdigest(), rng.choice(known.users)])


# Fields by name: what a known value is.
FIELDS = {
    "uid": lambda known, rng: rng.choice(known.users),
    "userIDList": lambda known, rng: rng.choice(known.users),
    "useracc": useracc,
    "friendUseracc": useracc,
    "searchContent": useracc,
    "useraccList": useracc,
    "tuser_key": lambda known, rng: rng.choice(known.keys),
    "tuser_key_s": lambda known, rng: rng.choice(known.keys),
    "tuser_key_d": lambda known, rng: rng.choice([*known.keys, f"new-{rng.randrange(1000)}"]),
    "user_key": lambda known, rng: rng.choice([*known.keys, f"new-{rng.randrange(1000)}"]),
    "user_id": user_id,
    "app_id": lambda known, rng: rng.choice(["", SYSTEM, OTHER]),
    "ln_md5": lambda known, rng: rng.choice(known.courses),
    "start_time": lambda known, rng: "2016-04-01 01:01:01",
    "end_time": lambda known, rng: f"20{rng.randrange(17, 99)}-05-01 01:01:01",
    "occurred_at": local_time,
    "timestamp": local_time,
    "updateTime": local_time,
    "group_id": lambda known, rng: rng.choice(known.groups),
    "name.media": lambda known, rng: rng.choice(known.media),
    "appId": lambda known, rng: rng.choice([SYSTEM, SYSTEM, OTHER]),
    "token.parse": lambda known, rng: rng.choice(known.tokens[-50:]),
    "portrait": lambda known, rng: png(rng.randrange(50)),
}


def guide(case, known, rng):
    """Changes the example in place; its parts are new, for other examples may share the old ones."""
    call = case.path.rstrip("/").rsplit("/", 1)[-1]
    if case.path_parameters:
        case.path_parameters = filled(case.path_parameters, "media" if "/media/" in case.path else "", known, rng)
    if case.query:
        case.query = filled(case.query, call, known, rng)
    if isinstance(case.body, dict):
        case.body = filled(case.body, call, known, rng)
    elif call == "uploadAvatar" and case.body and rng.random() > KEPT:
        case.body = png(rng.randrange(50))


def filled(values, call, known, rng):
    made = {}
    for name, value in values.items():
        if call == "parse_token" and name == "token":
            name_of_field = "token.parse"
        else:
            name_of_field = f"{name}.media" if call == "media" else name
        made[name] = replaced(name_of_field, value, known, rng)
    return made


def replaced(name, value, known, rng):
    if isinstance(value, dict):
        return filled(value, "", known, rng)
    if isinstance(value, list):
        return [replaced(name, entry, known, rng) for entry in value]
    if name not in FIELDS or not is_ordinary(value) or rng.random() < KEPT:
        return value
    return FIELDS[name](known, rng)


def is_ordinary(value):
    """Of the right sort for an id; longest and empty ones were made on purpose."""
    if isinstance(value, (str, bytes)):
        return 0 < len(value) < 64
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
