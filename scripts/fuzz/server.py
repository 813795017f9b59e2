"""One `kith` of the run's own, and what it must be like afterwards."""

import os
import re
import signal
import urllib.request

from faults.process import Process, accepts, free_port, wait_until
from faults.servers import SERVICES, Postgres, Redis


class Server:
    def __init__(self, folder, kith, stack):
        self.folder, self.parts = folder, []
        port, internal = free_port(), free_port()
        self.address, self.internal = f"127.0.0.1:{port}", f"127.0.0.1:{internal}"
        settings = {
            "GATEWAY__LISTEN": self.address,
            "GATEWAY__INTERNAL_LISTEN": self.internal,
            "DATA_DIR": f"{folder}/data",
            "DRAIN": "0",
            # All examples come from one address.
            "IM_AUTH__LOCKOUT_EXEMPT": "127.0.0.1",
        }
        if stack == "postgres":
            postgres, redis = Postgres(folder), Redis(folder)
            self.parts = [postgres, redis]
            settings["STATE__URL"] = f"redis://127.0.0.1:{redis.port}"
            for service in SERVICES:
                settings[f"{service.upper()}__DATABASE_URL"] = postgres.url(service)
        environment = {
            "PATH": os.environ["PATH"],
            # As by default, without a line for each request.
            "RUST_LOG": "warn,actix_http=off",
            "RUST_BACKTRACE": "1",
            **{f"KITH__{name}": value for name, value in settings.items()},
        }
        self.kith = Process("kith", [kith], folder, environment)

    def start(self):
        for part in self.parts:
            if isinstance(part, Postgres):
                part.create()
            else:
                part.start_again()
        self.kith.start()
        wait_until(lambda: accepts(int(self.address.rsplit(":", 1)[1])), 60, self.kith.tail)

    def stop(self):
        if self.kith.child:
            self.kith.end(signal.SIGTERM)
        for part in self.parts:
            part.remove()

    def get(self, address, path):
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read()

    def document(self):
        return self.get(self.address, "/openapi.json")[1]

    def memory(self):
        """The most that it ever had in memory, in MiB."""
        with open(f"/proc/{self.kith.child.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) >> 10

    def ills(self):
        """What is wrong with it."""
        if not self.kith.alive():
            return [f"kith ended\n{self.kith.tail()}"]
        found = []
        for address, path in ((self.address, "/healthz"), (self.internal, "/healthz"), (self.internal, "/readyz")):
            try:
                self.get(address, path)
            except OSError as e:
                found.append(f"{address}{path}: {e}")
        with open(self.kith.log, errors="replace") as f:
            bad = [line.rstrip() for line in f if "panicked" in line or " ERROR " in line]
        return found + [f"in the log: {line[:500]}" for line in bad[:5]]
