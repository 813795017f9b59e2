"""Family D's signature: made for examples, and judged from what was sent, in the order of the contract's checks (§4)."""

import base64
import binascii
import hashlib
import re
import time
import urllib.parse
from datetime import datetime, timedelta

VERSIONS = ("2013-12-26", "2016-08-15")
# The setting `utc_offset`.
OFFSET = 8 * 3600
DAY = 24 * 3600
# Between our look at the clock and Kith's.
SLACK = 10


def stamp(ago=0):
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + OFFSET - ago))


def sig(app_id, auth_token, at):
    return hashlib.md5(f"{app_id}{auth_token}{at}".encode()).hexdigest()


def authorization(app_id, at):
    return base64.b64encode(f"{app_id}:{at}".encode()).decode()


def faults(sent, auth_tokens):
    """Codes of which the answer must have one; none where the signature is right. `auth_tokens` by app id."""
    version, _, app_id = sent.segments()[:3]
    if version not in VERSIONS:
        return {"111110"}
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", app_id):
        return {"112180"}
    if app_id not in auth_tokens:
        return {"111181"}
    header = sent.headers.get("authorization", "").strip(" \t")
    return of_header(header, app_id) or of_sig(sent, header, app_id, auth_tokens[app_id])


def of_header(header, app_id):
    if not header:
        return {"111101"}
    unpadded = header.rstrip("=")
    if not re.fullmatch("[A-Za-z0-9+/]*={0,2}", header) or len(unpadded) % 4 == 1:
        return {"111102"}
    try:
        content = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))
    except binascii.Error:
        return {"111102"}
    if base64.b64encode(content).decode().rstrip("=") != unpadded or (header != unpadded and len(header) % 4):
        # Bits or padding that a strict reader refuses.
        return {"111102", *(of_content(content, app_id) or {"111109"})}
    return of_content(content, app_id)


def of_content(content, app_id):
    try:
        given, colon, at = content.decode().partition(":")
    except UnicodeDecodeError:
        return {"111103"}
    if not colon:
        return {"111103"}
    if not given:
        return {"111104"}
    if not at:
        return {"111105"}
    try:
        if not re.fullmatch("[0-9]{14}", at):
            return {"111113"}
        off = abs(datetime.strptime(at, "%Y%m%d%H%M%S") - datetime.strptime(stamp(), "%Y%m%d%H%M%S")).total_seconds()
    except ValueError:
        # A day that is none, or a year that only Python has none of.
        return {"111113", "111106"}
    if abs(off - DAY) < SLACK:
        return {"111106", "111107", "111108", "111109"}
    if off > DAY:
        return {"111106"}
    return {"111107"} if given != app_id else set()


def of_sig(sent, header, app_id, auth_token):
    given = [value for name, value in urllib.parse.parse_qsl(sent.query, keep_blank_values=True) if name == "sig"]
    if not given or not given[-1]:
        return {"111108"}
    at = base64.b64decode(header + "==").decode().partition(":")[2]
    at = datetime.strptime(at, "%Y%m%d%H%M%S")
    # The shipped iOS client takes the signature's time before that of Authorization.
    times = [(at - timedelta(seconds=earlier)).strftime("%Y%m%d%H%M%S") for earlier in range(3)]
    return set() if given[-1].lower() in [sig(app_id, auth_token, at) for at in times] else {"111109"}
