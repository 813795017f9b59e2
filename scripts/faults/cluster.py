"""A Kith of separate processes: gateway, two of each service, PostgreSQL, Redis.

The first process of each service (`…-1`) is reached directly and reaches PostgreSQL and Redis directly; everything
that the second one (`…-2`) hears and says goes through the toy proxy. So killed processes refuse connections as
real ones do, and connections can be tampered with on all sides.
"""

import http.client
import json
import os

from faults.lag import Lag
from faults.process import Process, accepts, free_port, wait_until
from faults.proxy import Proxy
from faults.servers import SERVICES, Postgres, Redis

NODES = (1, 2)


class Kith(Process):
    """One of our binaries."""

    def __init__(self, name, binary, folder, environment, port, internal):
        super().__init__(name, [binary], folder, environment)
        self.port = port
        self.internal = internal

    def readiness(self):
        """What `/readyz` says, or nothing."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.internal, timeout=2)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            connection.close()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def healthy(self):
        said = self.readiness()
        return bool(said) and said["ready"] and all(state == "ok" for state in said["parts"].values())


class Cluster:
    def __init__(self, folder, binaries, seed):
        self.folder = folder
        self.lag = Lag()
        self.proxy = Proxy(seed)
        self.postgres = Postgres(folder)
        self.redis = Redis(folder)
        self.kith = {}
        environment = self._environment()
        self.gateway = self._process("gateway", "gateway", binaries, environment)
        for service in SERVICES:
            for node in NODES:
                name = f"{service}-{node}"
                self._process(name, f"svc-{service.replace('_', '-')}", binaries, environment[name])
        # Half of the clients are far away.
        self.client_port = self.gateway.port
        self.far_port = self.proxy.link("clients", free_port(), self.gateway.port)

    def _environment(self):
        """Settings by process; those of the gateway under its name."""
        ports = {f"{s}-{n}": (free_port(), free_port()) for s in SERVICES for n in NODES}
        common = {
            "PATH": "/usr/bin:/bin",
            "RUST_LOG": os.environ.get("RUST_LOG", "info"),
            "RUST_BACKTRACE": "1",
            "KITH__DATA_DIR": f"{self.folder}/data",
            "KITH__WORKERS": "2",
            "KITH__DRAIN": "1",
        }
        for service in ("im_auth", "groups"):
            bases = ",".join(f"http://127.0.0.1:{ports[f'{service}-{n}'][1]}" for n in NODES)
            common[f"KITH__INTERNAL__{service.upper()}"] = bases
        gateway = dict(common)
        gateway["KITH__GATEWAY__LISTEN"] = f"127.0.0.1:{free_port()}"
        gateway["KITH__GATEWAY__INTERNAL_LISTEN"] = f"127.0.0.1:{free_port()}"
        # Shorter than clients' patience, so that they hear 504 instead of giving up.
        gateway["KITH__GATEWAY__TIMEOUTS__ANSWER"] = "5"
        tree = {"gateway": gateway}
        for service in SERVICES:
            upper = service.upper()
            places = []
            for node in NODES:
                name = f"{service}-{node}"
                public, internal = ports[name]
                database, state, place = self.postgres.port, self.redis.port, public
                if node == 2:
                    database = self.proxy.link(f"{name} to postgres", free_port(), database)
                    state = self.proxy.link(f"{name} to redis", free_port(), state)
                    place = self.proxy.link(f"gateway to {name}", free_port(), public)
                places.append(f"127.0.0.1:{place}")
                tree[name] = common | {
                    f"KITH__{upper}__LISTEN": f"127.0.0.1:{public}",
                    f"KITH__{upper}__INTERNAL_LISTEN": f"127.0.0.1:{internal}",
                    f"KITH__{upper}__DATABASE_URL": self.postgres.url(service, database),
                    f"KITH__{upper}__DATABASE_THREADS": "4",
                    "KITH__STATE__URL": f"redis://127.0.0.1:{state}",
                }
            gateway[f"KITH__GATEWAY__UPSTREAMS__{upper}"] = ",".join(places)
        return tree

    def _process(self, name, binary, binaries, environment):
        section = name.rsplit("-", 1)[0].upper()
        if name == "gateway":
            environment = environment["gateway"]
        port, internal = (
            int(environment[f"KITH__{section}__{which}"].rsplit(":", 1)[1]) for which in ("LISTEN", "INTERNAL_LISTEN")
        )
        process = Kith(name, f"{binaries}/{binary}", self.folder, environment, port, internal)
        self.kith[name] = process
        return process

    def start(self):
        self.postgres.create()
        self.redis.start_again()
        # One after the other would be slow, all at once is what a supervisor does.
        for process in self.kith.values():
            process.start()
        for process in self.kith.values():
            wait_until(process.healthy, 120, lambda: f"{process.name} is ready\n{process.tail()}")
        wait_until(lambda: accepts(self.gateway.port), 10, lambda: "the gateway listens")

    def everybody(self):
        return {**self.kith, "postgres": self.postgres, "redis": self.redis}

    def start_killed(self):
        """What a supervisor does."""
        if not self.postgres.alive():
            self.postgres.until_up()
        if not self.redis.alive():
            self.redis.start_again()
        for process in self.kith.values():
            if process.killed:
                process.start()

    def stop(self):
        for process in self.kith.values():
            if process.child:
                process.resume()
                process.kill()
        self.redis.remove()
        self.postgres.remove()
        self.proxy.stop()
        self.lag.stop()
