"""A client of Kith for scripts: a call of every family, sockets, and a load that remembers what was answered.

Python's standard library only. Every call is judged the way deployed clients do: by the body.
"""

import base64
import hashlib
import http.client
import json
import os
import random
import socket
import struct
import threading
import time
import urllib.parse
import zlib


class Failure(Exception):
    """An answer that says no, or none. `clear`: Kith itself said so, in the family's own words."""

    def __init__(self, what, clear):
        super().__init__(what)
        self.clear = clear


class Kith:
    """Calls over one connection, kept as long as the server keeps it; one for each thread."""

    def __init__(self, address, secret, app_id="kith", auth_token="kith-dev-token", timeout=15):
        host, _, port = address.partition(":")
        self.address = (host, int(port or 80))
        self.secret, self.app_id, self.auth_token = secret, app_id, auth_token
        self.timeout = timeout
        self.connection, self.used = None, 0.0

    def send(self, method, path, body=None, headers=None):
        """One request as it is, without a second try: status, headers, body."""
        if time.monotonic() - self.used > 5:
            # The server may be about to close it.
            self.close()
        self.used = time.monotonic()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as e:
            self.close()
            raise Failure(f"{method} {path.split('?')[0]}: {type(e).__name__}: {e}", clear=False) from e

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def ask(self, envelope, method, path, body=None, headers=None):
        status, _, text = self.send(method, path, body, headers)
        name, good = envelope
        where = f"{method} {path.split('?')[0]}"
        try:
            answer = json.loads(text)
            verdict = answer[name]
        except (ValueError, KeyError, TypeError) as e:
            raise Failure(f"{where}: {status} {text[:200]!r}", clear=False) from e
        if verdict != good:
            raise Failure(f"{where}: {status} {text[:200].decode(errors='replace')}", clear=True)
        return answer

    # Family A
    def action(self, call, /, **params):
        path = f"/{call}.action?{urllib.parse.urlencode(params)}"
        return self.ask(("rc", "1"), "GET", path)

    def portrait(self, tuser_key, image):
        boundary = "kith" + os.urandom(8).hex()
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
        body = (
            f'{part}tuser_key"\r\n\r\n{tuser_key}\r\n{part}portrait"; filename="portrait.jpg"\r\n\r\n'.encode()
            + image
            + f"\r\n--{boundary}--\r\n".encode()
        )
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return self.ask(("rc", "1"), "POST", "/tu_rc_sync_urp_from_hp.action", body, headers)

    # Family B
    def b(self, path, /, **fields):
        return self.ask(("errCode", 0), "POST", path, json.dumps({"secret": self.secret, **fields}))

    def register(self, uid, **fields):
        return self.b("/auth/user_register", **{"platform": 1, "uid": uid, "name": uid, **fields})["data"]["token"]

    def token(self, uid, platform=2):
        return self.b("/auth/user_token", platform=platform, uid=uid)["data"]["token"]

    def online(self, *uids):
        answer = self.b("/user/get_users_online_status", operationID="script", userIDList=list(uids))
        rows = answer["successResult"]
        return [row["userID"] for row in rows if row["status"] == "online"]

    # Family C
    def form(self, path, /, **fields):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask(("ret", "ok"), "POST", path, urllib.parse.urlencode(fields), headers)

    # Family D
    def signed_path(self, call):
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
        sig = hashlib.md5(f"{self.app_id}{self.auth_token}{stamp}".encode()).hexdigest().upper()
        authorization = base64.b64encode(f"{self.app_id}:{stamp}".encode()).decode()
        return f"/2013-12-26/Application/{self.app_id}/IM/{call}?sig={sig}", {"authorization": authorization}

    def im(self, call, /, **fields):
        path, headers = self.signed_path(call)
        return self.ask(("statusCode", "000000"), "POST", path, json.dumps(fields), headers)

    def avatar(self, useracc, image):
        path, headers = self.signed_path("uploadAvatar")
        path += f"&useracc={urllib.parse.quote(useracc)}&fileName=1.png"
        return self.ask(("statusCode", "000000"), "POST", path, image, headers)["avatar"]

    def media(self, link):
        """The bytes behind a link, asked for here whatever its host is."""
        status, _, body = self.send("GET", urllib.parse.urlsplit(link).path)
        if status != 200:
            raise Failure(f"{link}: {status}", clear=True)
        return body


def png(seed):
    """A real, small image that no other seed gives."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = b"".join(b"\0" + hashlib.sha256(f"{seed}{y}".encode()).digest()[:24] for y in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


class Socket:
    """A WebSocket of one user. `closed` is the close code, 0 for an end without one, None while it is open."""

    def __init__(self, address, token, platform=None):
        host, _, port = address.partition(":")
        self.stream = socket.create_connection((host, int(port or 80)), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET /ws?token={token} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            more = self.stream.recv(4096)
            if not more:
                raise Failure("socket: the connection ended before the upgrade", clear=False)
            self.buffer += more
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Failure(f"socket: {head.splitlines()[0].decode()}", clear=b" 503 " in head or b" 50" in head)
        self.closed = None
        self.events = []
        self.ready = threading.Event()
        self.stream.settimeout(90)
        threading.Thread(target=self._read, daemon=True).start()
        if not self.ready.wait(10):
            raise Failure("socket: not ready", clear=False)

    def _take(self, n):
        while len(self.buffer) < n:
            more = self.stream.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def _send(self, opcode, payload):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.stream.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def _read(self):
        code = 0
        try:
            while True:
                first, second = self._take(2)
                length = second & 127
                if length == 126:
                    (length,) = struct.unpack(">H", self._take(2))
                payload = self._take(length)
                opcode = first & 15
                if opcode == 1:
                    event = json.loads(payload)
                    self.events.append(event)
                    if event.get("type") == "ready":
                        self.ready.set()
                elif opcode == 9:
                    self._send(10, payload)
                elif opcode == 8:
                    code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                    self._send(8, payload[:2])
                    break
        except (OSError, EOFError):
            pass
        self.closed = code
        self.stream.close()

    def ping(self):
        self._send(1, b'{"type":"ping"}')

    def close(self):
        self._send(8, struct.pack(">H", 1000))


class Load:
    """A light load of every family that goes on until told to end. What was answered is remembered and can be looked
    for afterwards."""

    PASSWORD = "correct horse battery"

    def __init__(self, client, threads=4, rate=10, name=None):
        self.client, self.rate = client, rate
        self.name = name or os.urandom(3).hex()
        self.lock = threading.Lock()
        self.done, self.slowest, self.failures, self.written, self.tokens = 0, 0.0, [], [], {}
        self.ending = threading.Event()
        kith = client()
        self.admin = f"admin-{self.name}"
        kith.register(self.admin, password=self.PASSWORD, isAdmin=True)
        created = kith.form("/im/group_create/", username=self.admin, password=self.PASSWORD, name="load")
        self.group = created["group_id"]
        self.kiths = [client() for _ in range(threads)]
        run = lambda n: threading.Thread(target=self._run, args=(n, rate / threads), daemon=True)
        self.threads = [run(n) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, rate):
        kith, rng, previous = self.kiths[number], random.Random(number), self.admin
        n = 0
        while not self.ending.is_set():
            began = time.monotonic()
            uid = f"u-{self.name}-{number}-{n}"
            n += 1
            for step in (self._user, self._friends, self._group, self._course, self._read):
                if self.ending.is_set():
                    break
                at = time.monotonic()
                try:
                    calls = step(kith, uid, previous)
                except Failure as e:
                    with self.lock:
                        self.failures.append((at, time.monotonic() - at, e))
                    # The rest of this round builds on it.
                    break
                with self.lock:
                    self.done += calls
                    self.slowest = max(self.slowest, time.monotonic() - at)
            else:
                previous = uid
            pause = 11 / rate * rng.uniform(0.8, 1.2) - (time.monotonic() - began)
            self.ending.wait(max(0, pause))

    def _wrote(self, *what):
        with self.lock:
            self.written.append(what)

    def _user(self, kith, uid, _):
        # Without a password: a hash takes its time on purpose, on a busy machine more than callers wait.
        self.tokens[uid] = kith.register(uid, sign=uid)
        self._wrote("user", uid)
        kith.b("/auth/parse_token", token=kith.token(uid))
        return 3

    def _friends(self, kith, uid, previous):
        kith.im("addFriend", useracc=uid, friendUseracc=previous, message="load")
        kith.im("friendAgree", useracc=previous, friendUseracc=uid)
        self._wrote("friends", uid, previous)
        return 2

    def _group(self, kith, uid, _):
        kith.form(f"/im/{self.group}/group_join/", username=uid, token=self.tokens.pop(uid))
        self._wrote("member", uid)
        return 1

    def _course(self, kith, uid, _):
        course = hashlib.md5(uid.encode()).hexdigest()
        kith.action("tu_sync_lnvalidth_from_tn", tuser_key=uid, ln_md5=course,
                    start_time="2026-01-01 00:00:00", end_time="2027-01-01 00:00:00")
        self._wrote("course", uid, course)
        return 1

    def use(self, secret, auth_token):
        for kith in self.kiths:
            kith.secret, kith.auth_token = secret, auth_token

    def _read(self, kith, uid, previous):
        kith.online(uid, previous)
        kith.im("getFriends", useracc=uid, isAllPage="1")
        kith.action("tu_ua_get_status_from_tn", tuser_key=uid)
        kith.ask(("ret", "ok"), "GET", f"/cmd/?cmd=get_userinfo&username={uid}")
        return 4

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def failed_since(self, moment):
        with self.lock:
            return [f for f in self.failures if f[0] >= moment]

    def lost(self):
        """What was answered and is not there."""
        kith, missing, members = self.client(), [], None
        for kind, who, *rest in self.written:
            if kind == "user":
                info = kith.b("/user/get_users_info", userIDList=[who])["data"]
                there = [row["sign"] for row in info] == [who]
            elif kind == "friends":
                there = any(
                    row["useracc"].split("#")[-1] == rest[0]
                    for row in kith.im("getFriends", useracc=who, isAllPage="1")["friendsList"]
                )
            elif kind == "member":
                if members is None:
                    answer = kith.form(f"/im/{self.group}/group_get_user_list/", username=self.admin,
                                       password=self.PASSWORD)
                    members = {row["username"] for row in answer["userinfos"]}
                there = who in members
            else:
                info = kith.action("tu_ua_get_info_from_tn", type="lnvalidth", tuser_key=who, ln_md5=rest[0])
                there = info["isExisted"] == "1"
            if not there:
                missing.append((kind, who, *rest))
        return missing


def until(condition, seconds, pause=0.1):
    """How long it took, or None."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if condition():
                return time.monotonic() - began
        except Failure:
            pass
        time.sleep(pause)
    return None
