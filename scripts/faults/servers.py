"""PostgreSQL and Redis of the harness's own."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import time

from faults.process import Process, accepts, free_port, wait_until

SERVICES = ("im_auth", "terminal_user", "groups", "friends")
DISK = "400m"
BETWEEN = "=== next ==="


class Postgres(Process):
    """On a small disk of its own where mounting is allowed."""

    def __init__(self, folder):
        self.port = free_port()
        self.disk = f"{folder}/disk"
        self.data = f"{self.disk}/data"
        os.makedirs(self.disk, exist_ok=True)
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "kith-faults", self.disk]
        self.mounted = subprocess.run(mounting, stderr=subprocess.DEVNULL, check=False).returncode == 0
        command = ["postgres", "-D", self.data, "-p", str(self.port)]
        for setting in (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=64MB",
            "min_wal_size=2MB",
            "max_wal_size=32MB",
            "log_min_messages=warning",
        ):
            command += ["-c", setting]
        super().__init__("postgres", command, folder, user="postgres")

    def create(self):
        if os.getuid() == 0:
            shutil.chown(self.disk, "postgres", "postgres")
            os.chmod(self.folder, 0o711)
        # Segments of 1 MiB: a full disk is soon met by the log of changes too, not only by tables.
        initdb = Process(
            "initdb",
            ["initdb", "-D", self.data, "-U", "kith", "-A", "trust", "-E", "UTF8", "--locale=C", "--wal-segsize=1"],
            self.folder,
            user="postgres",
        )
        initdb.start()
        if initdb.child.wait() != 0:
            raise RuntimeError(f"initdb failed:\n{initdb.tail()}")
        self.start()
        self.until_up()
        for service in SERVICES:
            self.query("postgres", f"CREATE DATABASE {service}")

    def url(self, database, port=None):
        return f"postgres://kith@127.0.0.1:{port or self.port}/{database}"

    def is_up(self):
        ready = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "2"]
        return subprocess.run(ready, check=False).returncode == 0

    def until_up(self, within=60):
        """As a supervisor would: started again until it stays."""

        def tried():
            if not self.alive():
                # Processes of a killed server hold its memory until they notice.
                self.start()
                time.sleep(0.3)
            return self.is_up()

        wait_until(tried, within, lambda: f"PostgreSQL\n{self.tail()}")

    def query(self, database, sql):
        """Rows as lists of texts."""
        return self.queries(database, [sql])[0]

    def queries(self, database, statements):
        """The same of several statements: starting psql is what takes long."""
        psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-At", "-F", "\t", "-d", self.url(database)]
        script = f"\\echo {BETWEEN}\n".join(f"{sql};\n" for sql in statements)
        for _ in range(20):
            done = subprocess.run(psql, input=script, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                answers = [[]]
                for line in done.stdout.splitlines():
                    if line == BETWEEN:
                        answers.append([])
                    else:
                        answers[-1].append(line.split("\t"))
                return answers
            time.sleep(0.25)
        raise RuntimeError(f"{database}: {done.stderr}")

    def fill_disk(self):
        """Not a byte is left."""
        with open(f"{self.disk}/ballast", "wb", buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        f.write(b"\0" * size)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def fill_log(self):
        """Uses up the log's segments that were made before the disk was full."""
        sql = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000)) FROM generate_series(1, 100)"
        subprocess.run(["psql", "-X", "-q", "-d", self.url("postgres"), "-c", sql], capture_output=True, check=False)

    def free_disk(self):
        os.remove(f"{self.disk}/ballast")

    def remove(self):
        if self.child:
            self.resume()
            self.end(signal.SIGQUIT)
        if self.mounted:
            subprocess.run(["umount", "-l", self.disk], check=False)


class Redis(Process):
    def __init__(self, folder):
        self.port = free_port()
        data = f"{folder}/redis"
        os.makedirs(data, exist_ok=True)
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", data]
        super().__init__("redis", command, folder)
        self.dump = f"{data}/dump.rdb"
        self.kept = f"{data}/kept.rdb"

    def say(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            text = "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
            s.sendall(f"*{len(words)}\r\n{text}".encode())
            answer = s.recv(4096)
        if not answer.startswith(b"+"):
            raise RuntimeError(f"Redis: {words}: {answer!r}")

    def start_again(self, state=None):
        """Empty, or with a state: a file in Redis's own format."""
        if state != self.dump and os.path.exists(self.dump):
            os.remove(self.dump)
        if state not in (None, self.dump):
            shutil.copy(state, self.dump)
        self.start()
        wait_until(lambda: accepts(self.port), 30, lambda: f"Redis\n{self.tail()}")

    def keep_dump(self):
        """Keeps what it holds now, to be brought back later."""
        self.say("SAVE")
        shutil.copy(self.dump, self.kept)
        os.remove(self.dump)

    def remove(self):
        if self.child:
            self.resume()
            self.kill()
