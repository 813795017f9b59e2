"""What is outside the document's schemas and may succeed all the same, each with its clause of the contract. Everything
else must fail."""

import re


def null_is_absent(values, _call):
    """A list's own entries stay: `null` is no user id."""

    def without(value):
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if v is not None}
        return [without(v) for v in value] if isinstance(value, list) else value

    return without(values)


def keys_are_trimmed(values, _call):
    def trimmed(value):
        if isinstance(value, dict):
            return {k.strip(): trimmed(v) for k, v in value.items()}
        return [trimmed(v) for v in value] if isinstance(value, list) else value

    return trimmed(values)


def size_and_order_are_anything(values, call):
    if call in ("getFriends", "friendMessage"):
        return {k: v for k, v in values.items() if k not in ("size", "order")}
    return values


def numbers_are_read_as_numbers(values, _call):
    """A sign, blanks around it, zeros before it."""
    texts = {k: v.strip() for k, v in values.items() if k in NUMBERS and isinstance(v, str)}
    return {**values, **{k: int(v) for k, v in texts.items() if re.fullmatch("[+-]?[0-9]{1,30}", v)}}


def get_userinfo_reads_only_the_username(values, call):
    if call == "cmd" and values.get("cmd") == "get_userinfo":
        return {k: v for k, v in values.items() if k in ("cmd", "username")}
    return values


def file_name_is_ignored(values, call):
    return {k: v for k, v in values.items() if k != "fileName"} if call == "uploadAvatar" else values


# Fields that are numbers, and those that are yes or no.
NUMBERS = ("platform", "gender", "page", "size", "expert_status", "yue", "jifen", "bound_at")
FLAGS = ("isAdmin", "is_public_number")

# What is done to the parameters before they are held against the schema; the clause; who does it. Numbers sent as
# strings and strings sent as numbers stand in the schemas themselves, unknown fields are allowed by them, and trailing
# commas, any Content-Type and parameters in query and body are `wire`'s.
LENIENCIES = [
    ("`null` is absent", "§0: `null` in a request = absent", null_is_absent),
    ("blanks around keys", "§0: keys in bodies are trimmed", keys_are_trimmed),
    (
        "any `size`, any `order`",
        "§4: `size` absent or invalid 20; `order` \"2\" descending, anything else ascending",
        size_and_order_are_anything,
    ),
    ("any `fileName`", "§4: `fileName` ignored", file_name_is_ignored),
    ("` +07`", "§0: numbers accepted as strings", numbers_are_read_as_numbers),
    ("`reg_user`'s password", "§3: get_userinfo takes none; §0: unknown ignored", get_userinfo_reads_only_the_username),
]


def digits(value, name=""):
    """Not lenient: a number in a field of text is its digits, and as many characters (§0)."""
    if isinstance(value, dict):
        return {k: digits(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [digits(v, name) for v in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number and name not in NUMBERS + FLAGS else value


def applied(values, call):
    for _, _, apply in LENIENCIES:
        values = apply(values, call)
    return values
