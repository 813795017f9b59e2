"""One client's connection to the gateway, in the words of all four families."""

import base64
import hashlib
import http.client
import json
import threading
import time
import urllib.parse

APP, SECRET, SIGNING = "kith", "tuoyun", "kith-dev-token"
TIMEOUT = 10.0


class Counts:
    """Calls of all clients since the last `take`."""

    def __init__(self):
        self.lock = threading.Lock()
        # Whether a client was told that its request came too late.
        self.late = False
        self.take()

    def add(self, took, answered):
        with self.lock:
            self.calls += 1
            self.failed += not answered
            if answered:
                self.slowest = max(self.slowest, took)

    def take(self):
        with self.lock:
            taken = getattr(self, "calls", 0), getattr(self, "failed", 0), getattr(self, "slowest", 0.0)
            self.calls, self.failed, self.slowest = 0, 0, 0.0
        return taken


class Answer:
    """A service judged the request: `ok` or not, and why."""

    def __init__(self, ok, why, body):
        self.ok = ok
        self.why = str(why)
        self.body = body

    def __repr__(self):
        return f"Answer({'ok' if self.ok else self.why}, {self.body})"


class Client:
    """Not for several threads. Answers are `None` where nobody judged the request: no answer, half of one, or the
    gateway's or a service's word that it could not be served now."""

    def __init__(self, port, counts=None, timeout=TIMEOUT):
        self.port = port
        self.counts = counts
        self.timeout = timeout
        self.connection = None

    def send(self, method, path, body=None, headers=None):
        began = time.monotonic()
        answer = self._send(method, path, body, headers or {})
        if self.counts:
            self.counts.add(time.monotonic() - began, answer is not None)
        return answer

    def _send(self, method, path, body, headers):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            self.connection.request(method, path, body=body, headers=headers)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self.close()
            if answer.status >= 500 or answer.getheader("X-Kith-Failure"):
                return None
            if answer.status == 408:
                # A gateway that was frozen finds that the request's time is over before it finds the request.
                if self.counts:
                    self.counts.late = True
                return None
            if answer.status != 200:
                raise AssertionError(f"{method} {path}: HTTP {answer.status}: {text[:200]!r}")
            return json.loads(text)
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    # ---- the families ----

    def a(self, call, **fields):
        """GET, as the shipped apps write too."""
        body = self.send("GET", f"/{call}.action?{urllib.parse.urlencode(fields)}")
        return body and Answer(body["rc"] == "1", body["rm"], body)

    def b(self, path, **fields):
        body = self.send("POST", path, json.dumps({"secret": SECRET, **fields}).encode())
        return body and Answer(body["errCode"] == 0, body["errCode"], body)

    def c(self, path, uid, token, **fields):
        form = urllib.parse.urlencode({"username": uid, "token": token, **fields})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = self.send("POST", path, form.encode(), headers)
        return body and Answer(body["ret"] == "ok", body["reason"], body)

    def d(self, call, **fields):
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
        sig = hashlib.md5(f"{APP}{SIGNING}{stamp}".encode()).hexdigest()
        headers = {
            "Authorization": base64.b64encode(f"{APP}:{stamp}".encode()).decode(),
            "Content-Type": "application/json;charset=utf-8",
        }
        path = f"/2013-12-26/Application/{APP}/IM/{call}?sig={sig}"
        body = self.send("POST", path, json.dumps(fields).encode(), headers)
        return body and Answer(body["statusCode"] == "000000", body["statusCode"], body)

    # ---- what several need ----

    def register(self, uid, **more):
        return self.b("/auth/user_register", uid=uid, name=uid, platform=1, **more)

    def token(self, uid, platform):
        """A new token, or none."""
        answer = self.b("/auth/user_token", uid=uid, platform=platform)
        return answer.body["data"]["token"] if answer and answer.ok else None

    def insist(self, call, within=60):
        """For what must stand before anything is broken."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            answer = call()
            if answer:
                return answer
            time.sleep(0.2)
        raise RuntimeError("Kith does not answer before any fault")


def token_id(token):
    """The id of a builtin token, which is its row's."""
    claims = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
