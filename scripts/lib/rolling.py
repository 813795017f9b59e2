"""The tests of scripts/rolling.sh. First argument: a folder; the servers' addresses are in the environment."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from kith_client import Failure, Kith, Load, Socket, until

FOLDER = sys.argv[1]
POSTGRES = os.environ["KITH_TEST_POSTGRES_URL"]
REDIS = os.environ["KITH_TEST_REDIS_URL"]
SECTIONS = {"svc-im-auth": "IM_AUTH", "svc-terminal-user": "TERMINAL_USER", "svc-groups": "GROUPS",
            "svc-friends": "FRIENDS", "gateway": "GATEWAY"}
SERVICES = list(SECTIONS)[:4]


def say(text):
    print(f"   {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"FAILED: {text}")


def clock(moment):
    """A monotonic moment as the processes' logs write it."""
    return time.strftime("%H:%M:%S", time.gmtime(time.time() - time.monotonic() + moment))


taken = set()


def free_port():
    # Below the range that the kernel takes clients' ports from.
    while True:
        port = 5000 + secrets.randbelow(4000)
        with socket.socket() as s:
            if port not in taken and s.connect_ex(("127.0.0.1", port)) != 0:
                taken.add(port)
                return port


class Process:
    def __init__(self, binary, number):
        self.binary, self.name = binary, f"{binary}-{number}"
        self.public, self.internal = free_port(), free_port()
        self.child = None

    def start(self, settings):
        section = SECTIONS[self.binary]
        environment = {**settings, "PATH": "/usr/bin:/bin", f"KITH__{section}__LISTEN": f"127.0.0.1:{self.public}",
                       f"KITH__{section}__INTERNAL_LISTEN": f"127.0.0.1:{self.internal}"}
        with open(f"{FOLDER}/{self.name}.log", "a") as log:
            self.child = subprocess.Popen([os.path.abspath(f"target/debug/{self.binary}")], env=environment,
                                          cwd=FOLDER, stdout=log, stderr=log)

    def is_ready(self):
        try:
            url = f"http://127.0.0.1:{self.internal}/readyz"
            return urllib.request.urlopen(url, timeout=2).status == 200
        except (OSError, urllib.error.URLError):
            return False

    def until_ready(self):
        expect(until(self.is_ready, 60) is not None, f"{self.name} is not ready: {FOLDER}/{self.name}.log")

    def end(self):
        """SIGTERM; how long it took."""
        began = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(35)
        took = time.monotonic() - began
        expect(code == 0 and took < 30, f"{self.name} ended with {code} after {took:.1f} s")
        return took


class Cluster:
    """Two of each, and nginx before the gateways."""

    def __init__(self):
        self.processes = {b: [Process(b, n) for n in (1, 2)] for b in SECTIONS}
        self.secret, self.auth_token = secrets.token_hex(16), secrets.token_hex(16)
        self.settings = {
            "KITH__PUBLIC_BASE_URL": "https://im.example.com",
            "KITH__STATE__URL": REDIS,
            "KITH__STATE__PREFIX": "rolling:",
            "KITH__DATA_DIR": f"{FOLDER}/data",
            "KITH__WORKERS": "2",
            "KITH__INTERNAL__TOKEN": secrets.token_hex(16),
            "KITH__GATEWAY__TOKEN": secrets.token_hex(16),
            "KITH__APPS__KITH__ID": "kith",
            "KITH__APPS__KITH__SECRET": self.secret,
            "KITH__APPS__KITH__AUTH_TOKEN": self.auth_token,
            "KITH__IM_AUTH__OPEN_REGISTRATION": "false",
            "KITH__IM_AUTH__ADMINS": "",
            "KITH__IM_AUTH__TOKEN__SIGNING_KID": "k1",
            "KITH__IM_AUTH__TOKEN__KEYS__K1__SECRET": secrets.token_hex(32),
            "KITH__TERMINAL_USER__SECRETS_BY_USER_ID": "false",
            "KITH__GATEWAY__TRUSTED_PROXIES": "127.0.0.1",
        }
        for binary in SERVICES:
            name = SECTIONS[binary]
            self.settings[f"KITH__{name}__DATABASE_URL"] = f"{POSTGRES.rsplit('/', 1)[0]}/{name.lower()}"
            places = [f"127.0.0.1:{p.public}" for p in self.processes[binary]]
            self.settings[f"KITH__GATEWAY__UPSTREAMS__{name}"] = ",".join(places)
        for binary in ("svc-im-auth", "svc-groups"):
            places = [f"http://127.0.0.1:{p.internal}" for p in self.processes[binary]]
            self.settings[f"KITH__INTERNAL__{SECTIONS[binary]}"] = ",".join(places)
        self.address = f"127.0.0.1:{free_port()}"

    def all(self):
        return [p for both in self.processes.values() for p in both]

    def start(self):
        for process in self.all():
            process.start(self.settings)
        for process in self.all():
            process.until_ready()
        self.start_nginx()

    def start_nginx(self):
        """The way it is put before gateways: nothing that was sent is sent again, idle connections are kept."""
        gateways = "".join(f"server 127.0.0.1:{p.public} max_fails=1 fail_timeout=1s; " for p in self.processes["gateway"])
        config = f"""
            daemon off; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log warn; worker_processes 1;
            events {{ worker_connections 1000; }}
            http {{
                access_log off; client_body_temp_path {FOLDER}/body; proxy_temp_path {FOLDER}/proxy;
                fastcgi_temp_path {FOLDER}/f; uwsgi_temp_path {FOLDER}/u; scgi_temp_path {FOLDER}/s;
                map $http_upgrade $upgrade_or_keep {{ default upgrade; '' ''; }}
                upstream kith {{ {gateways} keepalive 16; }}
                server {{
                    listen {self.address};
                    client_max_body_size 9m;
                    location / {{
                        proxy_pass http://kith; proxy_http_version 1.1; proxy_read_timeout 120s;
                        proxy_next_upstream error; proxy_set_header Host $host;
                        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade_or_keep;
                        proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
                    }}
                }}
            }}"""
        with open(f"{FOLDER}/nginx.conf", "w") as f:
            f.write(config)
        self.nginx = subprocess.Popen(["nginx", "-c", f"{FOLDER}/nginx.conf", "-p", FOLDER])
        # A first start knows who is online after 2.5 s.
        expect(until(lambda: self.client().online("nobody") == [], 20) is not None, "nginx, and presence")

    def client(self):
        return Kith(self.address, self.secret, "kith", self.auth_token)

    def roll(self, binaries):
        """One process after another; the next one only when the last one is back."""
        for binary in binaries:
            for process in self.processes[binary]:
                began = clock(time.monotonic())
                took = process.end()
                process.start(self.settings)
                process.until_ready()
                # As minReadySeconds does: until the others know.
                time.sleep(3)
                say(f"{began} {process.name} ended in {took:.1f} s")

    def stop(self):
        for process in self.all():
            if process.child and process.child.poll() is None:
                process.child.kill()
                process.child.wait()
        if hasattr(self, "nginx"):
            self.nginx.terminate()
            self.nginx.wait()


class Sockets:
    """Sockets that open again when they are closed, as an app's would."""

    def __init__(self, cluster, number, name):
        self.cluster, self.ending = cluster, threading.Event()
        self.codes, self.failures, self.open = [], [], {}
        kith = cluster.client()
        self.people = [f"socket-{name}-{n}" for n in range(number)]
        for uid in self.people:
            kith.register(uid)
            self.open[uid] = Socket(cluster.address, kith.token(uid))
        self.thread = threading.Thread(target=self._keep, daemon=True)
        self.thread.start()

    def _keep(self):
        kith = self.cluster.client()
        while not self.ending.wait(0.2):
            # What the cluster says now, as the load does.
            kith.secret = self.cluster.secret
            for uid, one in list(self.open.items()):
                if one.closed is not None:
                    self.codes.append(one.closed)
                    try:
                        self.open[uid] = Socket(self.cluster.address, kith.token(uid))
                    except (Failure, OSError) as e:
                        self.failures.append(f"{uid}: {e}")

    def end(self):
        self.ending.set()
        self.thread.join()


def under_load(cluster, change):
    """Runs `change` while calls go on and sockets are open; nothing may fail."""
    load = Load(cluster.client, threads=4, rate=30)
    sockets = Sockets(cluster, 20, load.name)
    began = time.monotonic()
    change(load)
    time.sleep(2)
    right = until(lambda: cluster.client().online(*sockets.people) == sockets.people, 10)
    load.end()
    sockets.end()
    for at, took, e in load.failures[:10]:
        say(f"failed at {clock(at)} after {took:.1f} s: {e}")
    expect(not load.failures, f"{len(load.failures)} of {load.done} calls failed")
    expect(not sockets.failures, f"sockets that could not be opened: {sockets.failures[:3]}")
    expect(set(sockets.codes) <= {1001}, f"sockets closed with {sorted(set(sockets.codes))}")
    expect(right is not None, "presence at the end")
    lost = load.lost()
    expect(not lost, f"answered and lost: {lost[:5]}")
    say(f"{load.done} calls in {time.monotonic() - began:.0f} s, none failed, slowest step {load.slowest:.2f} s; "
        f"{len(sockets.codes)} sockets closed, all with 1001")


def one_migration_ahead():
    """What a later version's migrations would do: new columns and a table, and rows that say so."""
    for binary in SERVICES:
        name = SECTIONS[binary].lower()
        script = """
            DO $$ DECLARE t record; BEGIN
                FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%' LOOP
                    EXECUTE format('ALTER TABLE %I ADD COLUMN of_a_later_version TEXT', t.tablename);
                END LOOP;
            END $$;
            CREATE TABLE of_a_later_version (id BIGINT PRIMARY KEY);
            INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');"""
        url = f"{POSTGRES.rsplit('/', 1)[0]}/{name}"
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", script], check=True)


def restart(cluster):
    def change(_):
        one_migration_ahead()
        cluster.roll([*SERVICES, "gateway"])

    under_load(cluster, change)


def rotate(cluster):
    old_token = cluster.client().register("of-the-old-key")
    new_secret, new_auth_token = secrets.token_hex(16), secrets.token_hex(16)

    def change(load):
        s = cluster.settings
        # The new values beside the old ones. The new key signs nothing before all processes know it.
        s["KITH__APPS__KITH__PREVIOUS_SECRET"], s["KITH__APPS__KITH__SECRET"] = cluster.secret, new_secret
        s["KITH__APPS__KITH__PREVIOUS_AUTH_TOKEN"] = cluster.auth_token
        s["KITH__APPS__KITH__AUTH_TOKEN"] = new_auth_token
        s["KITH__IM_AUTH__TOKEN__KEYS__K2__SECRET"] = secrets.token_hex(32)
        cluster.roll(SERVICES)
        # Clients change over.
        cluster.secret, cluster.auth_token = new_secret, new_auth_token
        load.use(new_secret, new_auth_token)
        time.sleep(2)
        # Without the old ones; old tokens stay good for as long as their key is known.
        del s["KITH__APPS__KITH__PREVIOUS_SECRET"], s["KITH__APPS__KITH__PREVIOUS_AUTH_TOKEN"]
        s["KITH__IM_AUTH__TOKEN__SIGNING_KID"] = "k2"
        cluster.roll(SERVICES)

    old = cluster.client()
    under_load(cluster, change)
    kith = cluster.client()
    kith.b("/auth/parse_token", token=old_token)
    new_token = kith.token("of-the-old-key")
    for call in (lambda: old.token("of-the-old-key"), lambda: old.im("getUserVerify", useracc="of-the-old-key")):
        try:
            call()
        except Failure as e:
            expect(e.clear, f"old secret: {e}")
        else:
            raise SystemExit("FAILED: the old secret still counts")
    del cluster.settings["KITH__IM_AUTH__TOKEN__KEYS__K1__SECRET"]
    cluster.roll(["svc-im-auth"])
    kith.b("/auth/parse_token", token=new_token)
    try:
        kith.b("/auth/parse_token", token=old_token)
    except Failure as e:
        expect('"errCode":702' in str(e), f"token of the old key: {e}")
    else:
        raise SystemExit("FAILED: the old key still counts")
    say("the old secret, auth_token and key are gone, tokens of the new key go on")


STEPS = {"restart": restart, "rotate": rotate}
cluster = Cluster()
try:
    cluster.start()
    for name in STEPS if "all" in sys.argv[2:] else sys.argv[2:]:
        print(f"== {name}", flush=True)
        STEPS[name](cluster)
except BaseException:
    # The folder goes; what the processes said is wanted.
    subprocess.run(["sh", "-c", f"mkdir -p target/rolling && cp {FOLDER}/*.log target/rolling/"], check=False)
    say("logs: target/rolling/")
    raise
finally:
    cluster.stop()
