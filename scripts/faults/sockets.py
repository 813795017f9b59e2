"""Users who come and go: open sockets, and what they know about who is really online."""

import asyncio
import concurrent.futures
import random
import threading

from faults.client import Client
from faults.websocket import Refused, WebSocket

USERS, OPENING = 36, 6.0
PROBE = "p-probe"
NAMES = {1: "IOS", 2: "Android", 5: "Web"}


class Person:
    """One user on one platform. Seldom more than one socket: when a later one replaces the older one."""

    def __init__(self, uid, platform, port, seed):
        self.uid = uid
        self.platform = platform
        self.port = port
        self.rng = random.Random(f"{seed}-{uid}-{platform}")
        self.sockets = []

    def open_sockets(self):
        self.sockets = [s for s in self.sockets if s.is_open]
        return self.sockets


class Sockets:
    """Runs in a thread of its own; the methods without `_` are for others."""

    def __init__(self, cluster, seed, counts):
        self.cluster = cluster
        self.counts = counts
        self.frozen = False
        self.acts = set()
        self.opened = 0
        self.people = []
        for n in range(USERS):
            port = cluster.far_port if n % 3 == 0 else cluster.client_port
            for platform in (1, 2) if n % 4 == 0 else (5,):
                self.people.append(Person(f"p-{n}", platform, port, seed))
        self.loop = asyncio.new_event_loop()
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def start(self):
        client = Client(self.cluster.client_port)
        for uid in sorted({PROBE, *(p.uid for p in self.people)}):
            client.insist(lambda uid=uid: client.register(uid))
        for person in self.people:
            asyncio.run_coroutine_threadsafe(self._live(person), self.loop)

    async def _live(self, person):
        while True:
            await asyncio.sleep(person.rng.uniform(0.2, 1.0))
            if self.frozen:
                continue
            act = asyncio.ensure_future(self._act(person))
            self.acts.add(act)
            try:
                await act
            except (OSError, EOFError, Refused, asyncio.TimeoutError, asyncio.CancelledError):
                pass
            self.acts.discard(act)

    async def _act(self, person):
        there = person.open_sockets()
        chance = person.rng.random()
        if there and chance < 0.08:
            there[-1].close()
        elif not there and chance < 0.7 or there and chance > 0.96:
            # A client for this call alone: one that was given up may still be waiting.
            client = Client(person.port, self.counts, timeout=OPENING)
            token = await self.loop.run_in_executor(self.pool, client.token, person.uid, person.platform)
            client.close()
            if token:
                socket = await asyncio.wait_for(WebSocket.open(person.port, token), OPENING)
                person.sockets.append(socket)
                self.opened += 1
                asyncio.ensure_future(socket.run())

    # ---- for others ----

    def _wait(self, coroutine, within=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(within)

    def freeze(self):
        """From now on nobody comes or goes of their own will; who was about to come gives up."""

        async def settled():
            self.frozen = True
            for act in self.acts:
                act.cancel()
            await asyncio.gather(*self.acts, return_exceptions=True)

        self._wait(settled())

    def thaw(self):
        self.frozen = False

    def online(self, without=""):
        """User → names of platforms, by the sockets that are open and not of the process named."""

        async def look():
            found = {p.uid: set() for p in self.people}
            for person in self.people:
                if any(not without or not s.name.startswith(without) for s in person.open_sockets()):
                    found[person.uid].add(NAMES[person.platform])
            return found

        return self._wait(look())

    def dead(self, within):
        """Closes sockets at whose other end nobody answers; their users."""

        async def look():
            sockets = [(p, s) for p in self.people for s in p.open_sockets()]
            alive = await asyncio.gather(*(s.answers(within) for _, s in sockets))
            silent = [(p, s) for (p, s), answered in zip(sockets, alive) if not answered and s.is_open]
            for _, socket in silent:
                socket.close()
            return [f"{p.uid} on {NAMES[p.platform]} ({s.name})" for p, s in silent]

        return self._wait(look(), within + 60)

    def process_of(self, port):
        """The name by which a process of svc-im-auth, asked directly, begins the names of its sockets."""
        token = Client(port, timeout=5).token(PROBE, 5)

        async def look():
            socket = await asyncio.wait_for(WebSocket.open(port, token), 5)
            socket.close()
            return socket.name.rsplit("-", 1)[0]

        return self._wait(look())


def shown(client, uids):
    """The same by `get_users_online_status`; nothing if it is not known."""
    answer = client.b("/user/get_users_online_status", operationID="faults", userIDList=uids)
    if not answer or not answer.ok:
        return None
    found = {}
    for user in answer.body["successResult"]:
        details = user.get("detailPlatformStatus", [])
        found[user["userID"]] = {d["platform"] for d in details if d["status"] == "online"}
        if (user["status"] == "online") != bool(details):
            found[user["userID"]].add(f"status {user['status']} with {details}")
    return found
