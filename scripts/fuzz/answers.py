"""Answers in the envelopes of the four families (contract §0)."""

import json
import re

from fuzz.wire import ACCOUNTS, ACTIONS, FRIENDS, GROUPS

# Key of the verdict, what it says of a success, key of the text, what that says of a success.
ENVELOPES = {
    ACTIONS: ("rc", "1", "rm", ""),
    ACCOUNTS: ("errCode", 0, "errMsg", ""),
    GROUPS: ("ret", "ok", "reason", ""),
    FRIENDS: ("statusCode", "000000", "statusMsg", "success"),
}
UNKNOWN_CALL = {ACTIONS: ("0",), ACCOUNTS: (404, 405), GROUPS: ("failed",), FRIENDS: ("111100",)}
# With nothing broken and no limit reached no call says anything else, in an envelope or without one.
STATUSES = {200, 404, 405}
# Answers without an envelope; elsewhere they are documented one by one, and schemathesis checks that.
TEXT_CALL = "/ua_reg_user_from_hp.action"
INTERNALS = re.compile(r"sqlite|postgres|diesel|SELECT |INSERT |UPDATE |constraint|panicked|\.rs\b|/src/|127\.0\.0\.1")


class Wrong(Exception):
    """An answer that is none of its family's."""


def verdict(family, status, content_type, body):
    """The code of a failure, None for a success; `Wrong` where it is neither."""
    if status not in STATUSES:
        raise Wrong(f"status {status}")
    if content_type.split(";")[0].strip() != "application/json":
        raise Wrong(f"Content-Type {content_type!r}")
    if family == ACTIONS and content_type != "application/json;charset=utf-8":
        raise Wrong(f"family A's Content-Type is {content_type!r}")
    try:
        answer = json.loads(body)
    except ValueError as e:
        raise Wrong(f"no JSON: {e}") from e
    code_key, good, text_key, good_text = ENVELOPES[family]
    if not isinstance(answer, dict) or list(answer)[:2] != [code_key, text_key]:
        raise Wrong(f"the envelope's keys {code_key} and {text_key} do not come first")
    if has_null(answer):
        raise Wrong("null in an answer")
    code, text = answer[code_key], answer[text_key]
    if code == good and type(code) is type(good):
        if text != good_text or status != 200:
            raise Wrong(f"a success with {text_key} {text!r} and status {status}")
        return None
    if len(answer) != 2 or not isinstance(text, str) or not text:
        raise Wrong("a failure is not its two keys")
    if INTERNALS.search(text):
        raise Wrong(f"a failure's text shows what is inside: {text!r}")
    if status != 200 and code not in UNKNOWN_CALL[family]:
        raise Wrong(f"status {status} with {code_key} {code!r}")
    return code


def has_null(value):
    if isinstance(value, dict):
        return any(has_null(v) for v in value.values())
    return any(has_null(v) for v in value) if isinstance(value, list) else value is None
