"""What schemathesis loads: known values and credentials into examples, and the check of ours on every answer."""

import atexit
import hashlib
import json
import os
import random
import sys

import schemathesis

from fuzz import answers, wire
from fuzz.credentials import Page, sign
from fuzz.guide import RAW, guide
from fuzz.judge import Judge
from fuzz.known import Known
from fuzz.prepare import join, prepare
from fuzz.tally import Tally
from fuzz.wire import Sent
from kith_client import Failure, Kith

FOLDER = os.environ["KITH_FUZZ_FOLDER"]
SEED = os.environ["KITH_FUZZ_SEED"]
KNOWN = Known.load(f"{FOLDER}/known.json")
with open(f"{FOLDER}/openapi.json") as document:
    JUDGE = Judge(json.load(document), KNOWN)
KITH = Kith(os.environ["KITH_FUZZ_ADDRESS"], "tuoyun")
PAGE = Page(KITH, KNOWN)
TALLY = Tally()
# Documented as they are, without an envelope.
OWN_WORDS = ("/bind", "/docs", "/media", "/openapi.json", "/healthz", "/readyz")


def textual(value):
    """Bytes in a JSON body, which cannot be sent, as the text that they stand for."""
    if isinstance(value, dict):
        return {textual(key): textual(part) for key, part in value.items()}
    if isinstance(value, list):
        return [textual(part) for part in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


@schemathesis.hook
def before_call(context, case, kwargs):
    # Drawn from the example itself, so that the same example is always changed the same way.
    content = repr((SEED, case.operation.label, case.method, case.path_parameters, case.query, case.body))
    rng = random.Random(hashlib.sha256(content.encode(errors="replace")).digest())
    if rng.random() >= RAW:
        guide(case, KNOWN, rng)
        prepare(case, KNOWN, rng, KITH)
        sign(case, KNOWN, rng, PAGE)
        join(case, KNOWN, KITH)
    if not isinstance(case.body, bytes) or "json" in (case.media_type or ""):
        case.body = textual(case.body)


@schemathesis.hook
def after_call(context, case, response):
    sent = Sent.of(response.request)
    name = f"{case.operation.method.upper()} {case.operation.path}"
    fault = JUDGE.fault(case.operation.path, sent)
    success = succeeded(case.operation.path, sent, response)
    TALLY.add(name, sent, response, fault, success)
    if success and not fault:
        learn(case.operation.path, sent, response)


@schemathesis.check
def fails_as_its_family_does(ctx, response, case):
    """What is outside the document, or unsigned, gets the family's code for that; everything its envelope."""
    why = complaint(case.operation.path, Sent.of(response.request), response)
    if why:
        raise AssertionError(why)


def complaint(template, sent, response):
    fault = JUDGE.fault(template, sent)
    try:
        code = verdict(template, sent, response)
    except answers.Wrong as e:
        return str(e)
    if "X-Kith-Failure".lower() in response.headers and response.status_code == 200:
        return "X-Kith-Failure though nothing is broken"
    if fault is None:
        return None
    if code is None:
        return f"must fail, and is a success: {fault.why}"
    if fault.codes and response.status_code == 200 and code not in fault.codes:
        return f"fails with {code}, must be {' or '.join(map(str, sorted(fault.codes)))}: {fault.why}"
    return None


def verdict(template, sent, response):
    """The code of a failure, or None."""
    status = response.status_code
    content_type = response.headers.get("content-type", [""])[0]
    if sent.method == "HEAD":
        return None if status == 200 else status
    if template == answers.TEXT_CALL and status == 200:
        if response.content not in (b"0", b"1", b"-1"):
            raise answers.Wrong(f"says {response.content[:50]!r}")
        return "-1" if response.content == b"-1" else None
    is_own = template == "/" or template.startswith(OWN_WORDS)
    if is_own and status not in (404, 405):
        return status if status >= 400 else None
    return answers.verdict(wire.family(template), status, content_type, response.content)


def succeeded(template, sent, response):
    try:
        return verdict(template, sent, response) is None
    except answers.Wrong:
        return False


def learn(template, sent, response):
    call = template.rstrip("/").rsplit("/", 1)[-1]
    try:
        values, answer = wire.params(sent).values, json.loads(response.content)
    except (wire.Unreadable, ValueError):
        return
    if isinstance(answer, dict):
        KNOWN.learn(call, values, answer)
    if call == "sign-out":
        PAGE.cookie = None
    if call == "group_dismiss":
        renew_groups()
    if call == "force_logout":
        renew_tokens()


def renew_groups():
    try:
        admin = {"username": KNOWN.users[0], "password": KNOWN.passwords[KNOWN.users[0]][0]}
        group = KITH.form("/im/group_create/", name="another", **admin)["group_id"]
    except Failure as e:
        print(f"no new group: {e}", file=sys.stderr)
        return
    KNOWN.groups = [*KNOWN.groups[-30:], group]


def renew_tokens():
    for uid in KNOWN.users:
        KNOWN.own[uid] = KITH.token(uid)
        KNOWN.tokens.append(KNOWN.own[uid])


def finish():
    tried, missed = TALLY.blind_spots(lambda name, sent, answer: complaint(name.split(" ", 1)[1], sent, answer))
    TALLY.save(f"{FOLDER}/tally.json", tried, missed)


renew_tokens()
atexit.register(finish)
