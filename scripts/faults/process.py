"""One process that is started, killed, stopped and started again, and dies with the harness."""

import os
import random
import signal
import socket
import subprocess
import time


GIVEN = set()


def free_port():
    """Free now, given out once, and below the range that the kernel takes clients' ports from, so that it stays free
    while its server is down."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        if port in GIVEN:
            continue
        GIVEN.add(port)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
        return True
    except OSError:
        return False


def wait_until(check, within, what):
    """`what` says what is missing, when it is."""
    until = time.monotonic() + within
    while not check():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {within:.0f} s: {what()}")
        time.sleep(0.05)


class Process:
    def __init__(self, name, command, folder, environment=None, user=None):
        self.name = name
        self.command = command
        self.folder = folder
        self.environment = environment
        self.user = user
        self.log = f"{folder}/{name}.log"
        self.child = None
        # Whether it is the harness that ended it.
        self.killed = False

    def start(self):
        """From the main thread only: children are killed when the thread that started them ends."""
        ahead = ["setpriv", "--pdeathsig", "KILL"]
        if self.user and os.getuid() == 0:
            ahead += [f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [*ahead, "--", *self.command],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.killed = False

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def family(self):
        """Its process and the processes that it started."""
        pid = self.child.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                return [pid, *map(int, f.read().split())]
        except OSError:
            return [pid]

    def signal(self, number, pids=None):
        for pid in pids or [self.child.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """kill -9."""
        self.end(signal.SIGKILL)

    def end(self, number, within=30):
        self.killed = True
        self.signal(number)
        try:
            self.child.wait(within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.child.wait()

    def stop(self):
        """SIGSTOP, children too: frozen as a machine that swaps, not gone."""
        self.signal(signal.SIGSTOP, self.family())

    def resume(self):
        self.signal(signal.SIGCONT, self.family())

    def tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
