"""Puts the family's credentials into an example: right ones into most, known wrong ones into the others."""

import base64
import re

from fuzz import signature, wire
from fuzz.known import OTHER, PASSWORD, SYSTEM
from fuzz.wire import ACCOUNTS, FRIENDS, GROUPS

WRONG = 0.15


def sign(case, known, rng, page):
    family = wire.family(case.path)
    wrong = rng.random() < WRONG
    if family == FRIENDS:
        signed(case, known, rng, wrong)
    elif case.path.startswith("/bind"):
        page.bring(case, rng, wrong)
    elif family == ACCOUNTS and isinstance(case.body, dict) and is_given(case.body.get("secret")):
        right = "tuoyun" if rng.random() < 0.85 else "tuoyun-2"
        case.body = {**case.body, "secret": "not-the-secret" if wrong else right}
        keep_passwords(case, known)
    elif family == GROUPS and isinstance(case.body, dict) and is_given(case.body.get("username")):
        if case.body.get("cmd") is None:
            case.body = {**case.body, **by_password_or_token(case.body, known, rng, wrong)}


def is_given(value):
    """A credential that is missing or of the wrong sort stays so."""
    return isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= 64


def by_password_or_token(body, known, rng, wrong):
    # One who creates groups, half of the time.
    user = known.users[0] if rng.random() < 0.5 else rng.choice(known.users)
    if wrong:
        # A lock-out must not reach those who are to succeed.
        return {"username": rng.choice(known.victims), "password": "a wrong password", "token": ""}
    if is_given(body.get("token")) and rng.random() < 0.5 and known.own.get(user):
        return {"username": user, "token": known.own[user]}
    return {"username": user, "password": PASSWORD, "token": None if rng.random() < 0.5 else ""}


def keep_passwords(case, known):
    """Users whose password is needed keep it."""
    if case.body.get("uid") in known.users and is_given(case.body.get("password")):
        case.body["password"] = PASSWORD


def signed(case, known, rng, wrong):
    app_id = str((case.path_parameters or {}).get("appId", SYSTEM))
    at = signature.stamp()
    made = {
        "authorization": signature.authorization(app_id, at),
        "sig": signature.sig(app_id, known.auth_tokens.get(app_id, "unknown"), at),
    }
    if rng.random() < 0.5:
        made["sig"] = made["sig"].upper()
    if wrong:
        made.update(rng.choice(FORGERIES)(app_id, at))
    for name, holder in (("authorization", case.headers), ("sig", case.query)):
        if made[name] is None:
            holder.pop(name, None)
        else:
            holder[name] = made[name]


def encoded(text):
    return base64.b64encode(text.encode()).decode()


# One for each check of the contract's list.
FORGERIES = (
    lambda app_id, at: {"authorization": None},
    lambda app_id, at: {"authorization": "*" + encoded(f"{app_id}:{at}")},
    lambda app_id, at: {"authorization": encoded(f"{app_id}{at}")},
    lambda app_id, at: {"authorization": encoded(f":{at}")},
    lambda app_id, at: {"authorization": encoded(f"{app_id}:")},
    lambda app_id, at: {"authorization": encoded(f"{app_id}:{at[:8]}")},
    lambda app_id, at: {"authorization": encoded(f"{app_id}:{signature.stamp(25 * 3600)}")},
    lambda app_id, at: {"authorization": encoded(f"{app_id}:{signature.stamp(-25 * 3600)}")},
    lambda app_id, at: {"authorization": encoded(f"{OTHER if app_id == SYSTEM else SYSTEM}:{at}")},
    lambda app_id, at: {"sig": None},
    lambda app_id, at: {"sig": ""},
    lambda app_id, at: {"sig": signature.sig(app_id, "another-token", at)},
    lambda app_id, at: {"sig": signature.sig(app_id, "", at)},
    lambda app_id, at: {"sig": signature.sig(app_id, "kith-dev-token", signature.stamp(3600))},
)


class Page:
    """Sessions of the binding page, one at a time."""

    def __init__(self, kith, known):
        self.kith, self.known = kith, known
        self.cookie = None

    def bring(self, case, rng, wrong):
        if not isinstance(case.body, dict) and case.method == "POST":
            return
        user = rng.choice(self.known.users)
        if case.path == "/bind/sign-in":
            cookie, form = self.form(None)
            filling = {"username": user, "password": PASSWORD}
        else:
            if self.cookie is None or rng.random() < 0.1:
                self.cookie = self.sign_in(user)
            cookie, form = self.cookie, None
            filling = {}
        case.headers["cookie"] = cookie if not wrong else "kith_bind=00000000000000000000000000000000"
        if case.method == "POST":
            form = form or self.form(cookie)[1]
            given = {name: value for name, value in filling.items() if isinstance(case.body.get(name), str)}
            signs = isinstance(case.body.get("form"), str) and not wrong
            case.body = {**case.body, **given, **({"form": form} if signs else {})}

    def form(self, cookie):
        """A visitor's cookies, and the token of the forms that the page shows him."""
        _, headers, body = self.kith.send("GET", "/bind", headers={"cookie": cookie} if cookie else {})
        token = re.search(rb'name="form" value="([^"]+)"', body)[1].decode()
        self.known.forms = [*self.known.forms, token]
        return cookies(headers) or cookie, token

    def sign_in(self, user):
        cookie, form = self.form(None)
        body = f"form={form}&username={user}&password={PASSWORD.replace(' ', '+')}"
        kind = {"cookie": cookie, "content-type": "application/x-www-form-urlencoded"}
        _, headers, _ = self.kith.send("POST", "/bind/sign-in", body, kind)
        return cookies(headers)


def cookies(headers):
    return "; ".join(value.split(";")[0] for value in headers.get_all("set-cookie") or [])
