"""The tests of scripts/compose-smoke.sh, on a project that is up. What they need is in the environment."""

import hashlib
import os
import subprocess
import sys
import time

from kith_client import Failure, Kith, Load, Socket, png, until

COMPOSE = os.environ["KITH_COMPOSE"].split()
PROJECT = os.environ["COMPOSE_PROJECT_NAME"]
ADDRESS = os.environ["KITH_PUBLISH"]
PASSWORD = "correct horse battery"


def run(*command, check=True):
    return subprocess.run(command, check=check, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def say(text):
    print(f"   {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"FAILED: {text}")


def containers(service):
    """Ids of a service's running containers."""
    label = f"label=com.docker.compose.service={service}"
    return run("docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}", "--filter", label).split()


def is_healthy(container):
    return run("docker", "inspect", "-f", "{{.State.Health.Status}}", container).strip() == "healthy"


def secrets():
    shown = run(*COMPOSE, "run", "--rm", "init", "show")
    return {line.split(":")[0]: line.split(":")[1].strip() for line in shown.splitlines() if ":" in line}


def client():
    shown = secrets()
    return Kith(ADDRESS, shown["app secret (document 002)"], "kith", shown["app auth_token (document 004)"])


def copies_of(kith):
    """Makes clients with the same secrets, one for each thread."""
    return lambda: Kith(ADDRESS, kith.secret, kith.app_id, kith.auth_token)


def fails(call, *words):
    """The call is refused in the family's own words."""
    try:
        call()
    except Failure as e:
        expect(e.clear and all(word in str(e) for word in words), f"refused, but: {e}")
        return
    raise SystemExit("FAILED: not refused")


def smoke():
    """A call of every family, a socket, and that the hardened settings hold."""
    kith = client()
    token = kith.register("alice", password=PASSWORD, isAdmin=True, platform=1)
    expect(kith.b("/auth/parse_token", token=token)["data"]["uid"] == "alice", "parse_token")
    kith.register("bob", password=PASSWORD)

    kith.action("tu_rc_sync_urb_from_hp", tuser_key="key-1", name="Terminal")
    kith.action("tu_rc_get_urt_from_hp", tuser_key="key-1")
    md5 = "0123456789abcdef0123456789abcdef"
    kith.action("tu_sync_lnvalidth_from_tn", tuser_key="key-1", ln_md5=md5,
                start_time="2026-01-01 00:00:00", end_time="2026-02-01 00:00:00")
    info = kith.action("tu_ua_get_info_from_tn", type="lnvalidth", tuser_key="key-1", ln_md5=md5)
    expect((info["isExisted"], info["end_time"]) == ("1", "2026-02-01 00:00:00"), info)
    portrait = kith.portrait("key-1", png("portrait"))["portraitUri"]
    expect(portrait.startswith(f"http://{ADDRESS}/media/") and kith.media(portrait) == png("portrait"), portrait)

    kith.form("/im/user_get_token/", username="alice", password=PASSWORD)
    group = kith.form("/im/group_create/", username="alice", password=PASSWORD, name="friends")["group_id"]
    kith.form(f"/im/{group}/group_join/", username="bob", password=PASSWORD)
    listed = kith.form(f"/im/{group}/group_get_user_list/", username="alice", password=PASSWORD)["userinfos"]
    expect([row["username"] for row in listed] == ["alice", "bob"], listed)

    kith.im("addFriend", useracc="alice", friendUseracc="bob", message="it is me")
    kith.im("friendAgree", useracc="bob", friendUseracc="alice")
    link = kith.avatar("alice", png("alice"))
    expect(kith.media(link) == png("alice"), link)
    friends = kith.im("getFriends", useracc="bob", isAllPage="1")["friendsList"]
    expect([row["avatar"] for row in friends] == [link], friends)
    expect(kith.ask(("ret", "ok"), "GET", "/cmd/?cmd=get_userinfo&username=alice")["thumb"] == link, "one account")
    say("calls of all four families: an avatar set in one is seen in another")

    one = Socket(ADDRESS, kith.token("alice", platform=1))
    expect(until(lambda: kith.online("alice", "bob") == ["alice"], 3) is not None, "online while a socket is open")
    one.ping()
    expect(until(lambda: {"type": "pong"} in one.events, 3) is not None, "pong")
    kith.b("/auth/force_logout", uid="alice", platform=0)
    expect(until(lambda: one.closed == 4702, 3) is not None, f"closed by the log-out: {one.closed}")
    expect(until(lambda: kith.online("alice") == [], 3) is not None, "offline afterwards")
    say("a socket: ready, pong, presence, log-out")

    registration = "/cmd/?cmd=reg_user&username=mallory&password=password-1"
    fails(lambda: kith.ask(("ret", "ok"), "GET", registration))
    fails(lambda: Kith(ADDRESS, "tuoyun").register("mallory"), "not authorized")
    by_id = hashlib.md5(b"key-1").hexdigest()
    shown = kith.action("tu_rc_get_usr_from_hp", user_id=by_id)
    expect(shown["token"] == "" and "tuser_key" not in shown, "the public id shows no secrets")
    for path in ("/internal/profiles", "/metrics", "/readyz/../metrics"):
        expect(kith.send("GET", path)[0] == 404, f"{path} is not public")
    published = run("docker", "ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Ports}}")
    expect([p for p in published.splitlines() if "->" in p] == [f"{ADDRESS}->8080/tcp"], f"published: {published}")
    say("hardened: no self-registration, no development secret, no secrets by public id, only the gateway published")


def ask_inside(container, port, path):
    """A GET to a container's own listener; the images have no HTTP client but bash."""
    script = f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf "GET {path} HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
    return run("docker", "exec", container, "bash", "-c", script)


def served(container, port, route):
    """How many requests of routes that begin so a process has answered well."""
    lines = ask_inside(container, port, "/metrics").splitlines()
    counts = [l for l in lines if l.startswith("kith_requests_total{") and f'route="{route}' in l and 'outcome="ok"' in l]
    return sum(int(l.split()[-1]) for l in counts)


def scale():
    """Replicas share the load, and what one takes another serves."""
    run(*COMPOSE, "up", "-d", "--no-build", "--scale", "svc-im-auth=3", "--scale", "svc-friends=2")
    kith = client()
    auth, friends = containers("svc-im-auth"), containers("svc-friends")
    expect((len(auth), len(friends)) == (3, 2), f"replicas: {auth} {friends}")
    expect(until(lambda: all(map(is_healthy, auth + friends)), 60) is not None, "replicas are healthy")
    # The gateway asks for the names every 2 s.
    time.sleep(3)
    before = {c: served(c, 9081, "/auth/") for c in auth} | {c: served(c, 9084, "/{version}") for c in friends}
    kith.register("carol")
    for n in range(60):
        kith.token("carol")
        kith.im("getFriends", useracc="carol", timestamp="")
    after = {c: served(c, 9081, "/auth/") for c in auth} | {c: served(c, 9084, "/{version}") for c in friends}
    share = {c: after[c] - before[c] for c in after}
    expect(all(10 <= share[c] for c in auth) and all(15 <= share[c] for c in friends), f"shares: {share}")
    say(f"60 calls each: svc-im-auth {[share[c] for c in auth]}, svc-friends {[share[c] for c in friends]}")

    links = [kith.avatar("carol", png(f"carol {n}")) for n in range(4)]
    for link in links:
        for container in auth:
            path = "/media/" + link.rsplit("/", 1)[1]
            expect(" 200 " in ask_inside(container, 8081, path).splitlines()[0], f"{path} of {container}")
    say("every replica serves avatars that others took")

    sockets = [Socket(ADDRESS, kith.token("carol", platform=p)) for p in (1, 2, 3, 5)]
    expect(until(lambda: kith.online("carol") == ["carol"], 3) is not None, "presence over replicas")
    for one in sockets:
        one.close()
    expect(until(lambda: kith.online("carol") == [], 3) is not None, "presence over replicas: gone")
    run(*COMPOSE, "up", "-d", "--no-build", "--scale", "svc-im-auth=1", "--scale", "svc-friends=1")


def kill(container):
    """As a crash would: Docker takes `docker kill` for the operator's wish and does not restart what it killed."""
    pid = run("docker", "inspect", "-f", "{{.State.Pid}}", container).strip()
    run("docker", "run", "--rm", "--pid=host", "--network=none", "--cap-drop=ALL", "--cap-add=KILL",
        "debian:bookworm-slim", "bash", "-c", f"kill -9 {pid}")


def crash():
    """Each container dies in turn while calls go on."""
    kith = client()
    people = [f"online-{n}" for n in range(10)]
    for uid in people:
        kith.register(uid)
    sockets = {}

    def open_sockets():
        for uid in people:
            if uid not in sockets or sockets[uid].closed is not None:
                sockets[uid] = Socket(ADDRESS, kith.token(uid))

    def presence_is_right():
        expected = [uid for uid in people if uid in sockets and sockets[uid].closed is None]
        return kith.online(*people) == expected

    def presence_answers():
        kith.online(*people)
        return True

    load = Load(copies_of(kith), threads=3, rate=15)
    slowest = 0
    for service in ("redis", "postgres", "svc-im-auth", "svc-terminal-user", "svc-groups", "svc-friends", "gateway"):
        expect(until(lambda: open_sockets() or presence_is_right(), 20) is not None, f"sockets before {service} dies")
        began = time.monotonic()
        kill(containers(service)[0])
        time.sleep(max(0, began + 5 - time.monotonic()))
        # Where the only replica is still starting nobody answers; an answer from now on must be right.
        right = until(presence_answers, 15, 0.05)
        expect(right is not None, f"{service}: no word of presence after 20 s")
        expect(presence_is_right(), f"{service}: presence is wrong {5 + right:.1f} s after")
        # Quiet: nothing failed for three seconds.
        quiet = until(lambda: not load.failed_since(time.monotonic() - 3), 60)
        expect(quiet is not None, f"{service}: calls still fail after a minute: {load.failures[-1:]}")
        failed = load.failed_since(began)
        last = max((at + took for at, took, _ in failed), default=began)
        unclear = [str(e) for _, _, e in failed if not e.clear]
        if service != "gateway":
            expect(not unclear, f"{service}: answers that are none: {unclear[:3]}")
        longest = max((took for _, took, _ in failed), default=0)
        slowest = max(slowest, longest)
        open_after = sum(s.closed is None for s in sockets.values())
        say(f"{service}: {len(failed)} calls refused for {last - began:.1f} s, none longer than {longest:.1f} s; "
            f"presence right {5 + right:.1f} s after; {open_after} of {len(people)} sockets stayed")
        expect(until(lambda: all(is_healthy(c) for c in containers(service)), 60) is not None, f"{service} is healthy again")
    load.end()
    expect(slowest < 20, f"a call waited {slowest:.1f} s")
    lost = load.lost()
    expect(not lost, f"answered and lost: {lost[:5]}")
    say(f"{load.done} calls answered, none of {len(load.written)} answered writes lost")


def rotate():
    """Secrets and keys of the volume: both values count, then only the new one."""
    services = ["svc-im-auth", "svc-terminal-user", "svc-groups", "svc-friends"]

    def change(how):
        for name in ("app-secret", "auth-token", "token-key"):
            run(*COMPOSE, "run", "--rm", "init", how, name)
        run(*COMPOSE, "up", "-d", "--no-build", "--no-deps", "--force-recreate", *services)
        expect(until(lambda: all(is_healthy(c) for s in services for c in containers(s)), 90) is not None, how)
        time.sleep(3)

    def works(kith):
        kith.im("getUserVerify", useracc="dora")
        return kith.token("dora")

    old = client()
    old_token = old.register("dora")
    change("rotate")
    new = client()
    expect(new.secret != old.secret and new.auth_token != old.auth_token, "new values")
    works(old)
    new_token = works(new)
    new.b("/auth/parse_token", token=old_token)
    change("retire")
    works(new)
    new.b("/auth/parse_token", token=new_token)
    fails(lambda: old.token("dora"), "not authorized")
    fails(lambda: old.im("getUserVerify", useracc="dora"), "111109")
    fails(lambda: new.b("/auth/parse_token", token=old_token), "702")
    say("app secret, auth_token and token key: both count, then the new ones alone")


STEPS = {"smoke": smoke, "scale": scale, "rotate": rotate, "crash": crash}
for name in STEPS if "all" in sys.argv[1:] else sys.argv[1:]:
    print(f"== {name}", flush=True)
    STEPS[name]()
