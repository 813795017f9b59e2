"""The part of scripts/check-manifests.sh that reads: names, settings, metrics."""

import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

TOOLS = sys.argv[1]
BINARIES = "target/debug"
SERVICES = ["gateway", "svc-im-auth", "svc-terminal-user", "svc-groups", "svc-friends"]
problems = []


def check(condition, text):
    if not condition:
        problems.append(text)


def process_accepts(where, binary, environment):
    """The process itself says whether it would start with these settings; hardened ones, as it says them."""
    environment = {k: str(v) for k, v in environment.items() if k.startswith("KITH__")}
    with tempfile.TemporaryDirectory() as folder:
        # kith has it as a command.
        how = "check" if binary == "kith" else "--check"
        done = subprocess.run([os.path.abspath(f"{BINARIES}/{binary}"), how], env=environment, cwd=folder,
                              capture_output=True, text=True)
    check(done.returncode == 0, f"{where}: {binary} would not start: {done.stderr.strip()}")
    for wrong in ("open_registration = true", "secrets_by_user_id = true"):
        check(wrong not in done.stdout, f"{where}: {binary}: {wrong}")
    limit = "requests_per_second" if binary == "gateway" else "app_requests_per_second"
    check(f"\n{limit} = 0\n" not in done.stdout, f"{where}: no rate limit")


def of_image():
    """ENV of deploy/Dockerfile."""
    text = open("deploy/Dockerfile").read().replace("\\\n", " ")
    pairs = re.findall(r"\b(KITH__\w+)=(\S+)", text)
    return dict(pairs)


# Kubernetes


def kubernetes(overlay):
    documents = [d for d in yaml.safe_load_all(open(f"{TOOLS}/{overlay}.yaml")) if d]
    secrets = {d["metadata"]["name"]: d for d in yaml.safe_load_all(open(f"{TOOLS}/secrets.yaml")) if d}
    of = lambda kind: {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}
    deployments, services, maps = of("Deployment"), of("Service"), of("ConfigMap")
    where = f"overlay {overlay}"
    check(sorted(deployments) == sorted([*SERVICES, "tools"]), f"{where}: deployments {sorted(deployments)}")
    tools = deployments.pop("tools")

    used_maps, used_secrets, ports = set(), set(), {}

    def environment_of(at, container):
        environment = of_image()
        for source in container["envFrom"]:
            if "configMapRef" in source:
                found = maps.get(source["configMapRef"]["name"])
                used_maps.add(source["configMapRef"]["name"])
                values = (found or {}).get("data") or {}
            else:
                found = secrets.get(source["secretRef"]["name"])
                used_secrets.add(source["secretRef"]["name"])
                values = (found or {}).get("stringData") or {}
            check(found, f"{at}: nothing is called {source}")
            twice = environment.keys() & values.keys()
            check(not twice, f"{at}: given twice: {twice}")
            environment |= values
        return environment

    check(tools["spec"]["replicas"] == 0, f"{where}: tools run only when wanted")
    process_accepts(f"{where}: tools", "kith", environment_of("tools", tools["spec"]["template"]["spec"]["containers"][0]))
    used_maps, used_secrets = set(), set()
    for name, deployment in deployments.items():
        at = f"{where}: {name}"
        check("replicas" not in deployment["spec"], f"{at}: replicas would fight with the autoscaler")
        template = deployment["spec"]["template"]
        labels, pod = template["metadata"]["labels"], template["spec"]
        selector = deployment["spec"]["selector"]["matchLabels"]
        check(selector.items() <= labels.items(), f"{at}: the selector does not select its pods")
        for spread in pod["topologySpreadConstraints"]:
            check(spread["labelSelector"]["matchLabels"].items() <= labels.items(), f"{at}: spread of other pods")
        check(pod["serviceAccountName"] in of("ServiceAccount"), f"{at}: no such service account")
        volumes = {v["name"] for v in pod["volumes"]}
        used_secrets |= {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
        (container,) = pod["containers"]
        check(container["image"].split(":")[0].endswith(f"/{name}"), f"{at}: image {container['image']}")
        check({m["name"] for m in container["volumeMounts"]} == volumes, f"{at}: volumes")
        ports[name] = {p["name"]: p["containerPort"] for p in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            check(container[probe]["httpGet"]["port"] in ports[name], f"{at}: {probe}: no such port")
        grace, sleep = pod["terminationGracePeriodSeconds"], int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        check(grace >= sleep + 30, f"{at}: killed {grace} s after preStop of {sleep} s, and the process takes up to 30")
        check(template["metadata"]["annotations"]["prometheus.io/port"] == str(ports[name]["internal"]), f"{at}: scraped port")

        environment = environment_of(at, container)
        process_accepts(at, name, environment)
        for kind in ("listen", "internal_listen"):
            section = name.removeprefix("svc-").replace("-", "_").upper()
            listened = environment[f"KITH__{section}__{kind.upper()}"].rsplit(":", 1)[1]
            port = ports[name]["internal" if kind == "internal_listen" else "public"]
            check(listened == str(port), f"{at}: {kind} is {listened}, the port {port}")
        # Other processes are called by names of Services and their ports.
        for key, value in environment.items():
            if key.startswith("KITH__GATEWAY__UPSTREAMS__") or key in ("KITH__INTERNAL__IM_AUTH", "KITH__INTERNAL__GROUPS"):
                host, port = value.removeprefix("http://").split(":")
                known = host in services and int(port) in [p["port"] for p in services[host]["spec"]["ports"]]
                check(known, f"{at}: {key}: no service has {value}")

        for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"):
            check(name in of(kind), f"{where}: {name} has no {kind}")
        target = of("HorizontalPodAutoscaler")[name]["spec"]["scaleTargetRef"]
        check((target["kind"], target["name"]) == ("Deployment", name), f"{at}: autoscaler of {target}")
        budget = of("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]
        check(budget.items() <= labels.items(), f"{at}: disruption budget of other pods")
        service = services[name]["spec"]
        check(service["selector"].items() <= labels.items(), f"{at}: service of other pods")
        for port in service["ports"]:
            check(port["targetPort"] in ports[name], f"{at}: service: no port {port['targetPort']}")

    check(used_maps == set(maps), f"{where}: config maps that nobody uses: {set(maps) - used_maps}")
    check(used_secrets == set(secrets), f"{where}: secrets that nobody uses: {set(secrets) - used_secrets}")

    for ingress in of("Ingress").values():
        hosts = {h for t in ingress["spec"]["tls"] for h in t["hosts"]}
        for rule in ingress["spec"]["rules"]:
            check(rule["host"] in hosts, f"{where}: {rule['host']} is without TLS")
            public = [m["data"]["KITH__PUBLIC_BASE_URL"] for m in maps.values() if "KITH__PUBLIC_BASE_URL" in (m.get("data") or {})]
            check(public == [f"https://{rule['host']}"], f"{where}: public_base_url {public} is not the ingress's {rule['host']}")
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                check(service["name"] == "gateway", f"{where}: the ingress leads to {service['name']}")
                check(service["port"]["name"] in [p["name"] for p in services["gateway"]["spec"]["ports"]], f"{where}: ingress's port")

    # Policies name pods and ports that exist.
    pods = {name: d["spec"]["template"]["metadata"]["labels"] for name, d in deployments.items()}

    def selects(selector, labels):
        for e in selector.get("matchExpressions", []):
            check(e["operator"] == "In" and set(e["values"]) <= {*SERVICES, "tools"}, f"{where}: policy selects {e}")
            if labels.get(e["key"]) not in e["values"]:
                return False
        return selector.get("matchLabels", {}).items() <= labels.items()

    for policy in of("NetworkPolicy").values():
        at, spec = f"{where}: policy {policy['metadata']['name']}", policy["spec"]
        chosen = [n for n, labels in pods.items() if selects(spec["podSelector"], labels)]
        check(chosen, f"{at}: selects no pods")
        for rule in spec.get("ingress", []):
            listened = {p for n in chosen for p in ports[n].values()}
            check({p["port"] for p in rule["ports"]} <= listened, f"{at}: nobody listens on {rule['ports']}")
        for rule in spec.get("egress", []):
            for to in rule.get("to", []):
                if "podSelector" in to:
                    others = [n for n, labels in pods.items() if selects(to["podSelector"], labels)]
                    listened = {p for n in others for p in ports[n].values()}
                    check(others and {p["port"] for p in rule["ports"]} <= listened, f"{at}: nobody listens on {rule}")

    # Who may reach whom on which port, by all policies together.
    def allowed(direction, here, there, port):
        for policy in of("NetworkPolicy").values():
            spec = policy["spec"]
            if not selects(spec["podSelector"], pods[here]):
                continue
            for rule in spec.get(direction, []):
                peers = rule.get("from" if direction == "ingress" else "to")
                near = peers is None or any("podSelector" in p and selects(p["podSelector"], pods[there]) for p in peers)
                if near and any(p["port"] == port for p in rule["ports"]):
                    return True
        return False

    def reaches(a, b, port):
        return allowed("egress", a, b, port) and allowed("ingress", b, a, port)

    for service in SERVICES[1:]:
        check(reaches("gateway", service, ports[service]["public"]), f"{where}: the gateway does not reach {service}")
        check(not reaches("gateway", service, ports[service]["internal"]), f"{where}: the gateway reaches {service} inside")
        for other in SERVICES[1:]:
            check(not reaches(service, other, ports[other]["public"]), f"{where}: {service} reaches {other}'s public port")
            inside = other in ("svc-im-auth", "svc-groups")
            check(reaches(service, other, ports[other]["internal"]) == inside, f"{where}: {service} to {other} inside")
        check(not allowed("egress", "gateway", service, 5432), f"{where}: the gateway reaches databases")


# Compose


def compose():
    text = open("docker-compose.yml").read()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
    document = yaml.safe_load(text)
    services, volumes, networks = document["services"], document["volumes"], document["networks"]
    with tempfile.TemporaryDirectory() as folder:
        # The secrets as init makes them; who owns them is nothing that a check could change.
        fake = os.path.join(folder, "bin")
        os.makedirs(fake)
        with open(f"{fake}/chown", "w") as f:
            f.write("#!/bin/sh\n")
        os.chmod(f"{fake}/chown", 0o755)
        secrets = os.path.join(folder, "secrets")
        os.makedirs(secrets)
        subprocess.run(["bash", "deploy/compose/init.sh", "make"], check=True,
                       env={"PATH": f"{fake}:{os.environ['PATH']}", "KITH_SECRETS": secrets})
        for name, service in services.items():
            at = f"docker-compose.yml: {name}"
            for mount in service.get("volumes", []):
                source = mount.split(":")[0]
                check(os.path.exists(source) if source.startswith(".") else source in volumes, f"{at}: no {source}")
            for network in service.get("networks", []):
                check(network in networks, f"{at}: no network {network}")
            for other in service.get("depends_on", {}):
                check(other in services, f"{at}: depends on {other}")
            check(("ports" in service) == (name == "gateway"), f"{at}: only the gateway is published")
            check(service.get("read_only") and service.get("cap_drop") == ["ALL"], f"{at}: hardened")
            for used in re.findall(r"/secrets/([\w./-]+)", json.dumps(service)):
                check(os.path.exists(f"{secrets}/{used}"), f"{at}: init makes no {used}")
            if name not in [*SERVICES, "kith"]:
                continue
            check(service["build"]["args"]["BINARY"] == name and f"kith/{name}:" in service["image"], f"{at}: binary")
            environment = of_image() | service["environment"]
            for key, value in environment.items():
                if key.startswith("KITH__GATEWAY__UPSTREAMS__") or key in ("KITH__INTERNAL__IM_AUTH", "KITH__INTERNAL__GROUPS"):
                    host = value.removeprefix("http://").split(":")[0]
                    shared = set(services[host]["networks"]) & set(service["networks"]) if host in services else set()
                    check(shared, f"{at}: {key}: {host} is not on a network of it")
            environment = {k: str(v).replace("/secrets/", f"{secrets}/") for k, v in environment.items()}
            process_accepts(at, name, environment)
        subprocess.run(["chmod", "-R", "u+w", secrets], check=True)


# Metrics


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def known_metrics():
    """What a running kith shows, and what the code registers but shows only once it happened."""
    folder = tempfile.mkdtemp()
    internal = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [os.path.abspath(f"{BINARIES}/kith")], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"KITH__GATEWAY__LISTEN": f"127.0.0.1:{free_port()}", "KITH__GATEWAY__INTERNAL_LISTEN": internal})
    text = None
    try:
        for _ in range(300):
            try:
                text = urllib.request.urlopen(f"http://{internal}/metrics", timeout=5).read().decode()
                break
            except OSError:
                time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
    if text is None:
        sys.exit("error: kith did not start")
    names = set(re.findall(r"^(\w+)(?:\{| )", text, re.M))
    for file in glob.glob("*/src/**/*.rs", recursive=True):
        for name in re.findall(r'\bregister\(\s*"(kith_\w+)"', open(file).read()):
            names |= {name, f"{name}_total"}
    return names


def observability():
    metrics = known_metrics()
    outcomes = set(re.findall(r"^    (\w+), \w+, \"", open("service-kit/src/error.rs").read(), re.M)) | {"ok"}
    services = set(SERVICES)
    rules = [r for g in yaml.safe_load(open("deploy/observability/alerts.yml"))["groups"] for r in g["rules"]]
    dashboard = json.load(open("deploy/observability/dashboard.json"))
    ids = [p["id"] for p in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "dashboard.json: ids of panels repeat")
    queries = [(f"alert {r['alert']}", r["expr"]) for r in rules]
    queries += [(f"dashboard: {p['title']}", t["expr"]) for p in dashboard["panels"] for t in p.get("targets", [])]
    queries += [("dashboard: variable", v["definition"]) for v in dashboard["templating"]["list"] if "definition" in v]
    seen = set()
    for where, query in queries:
        used = set(re.findall(r"\bkith_\w+", query))
        seen |= used
        check(used or re.search(r"\bup\b", query), f"{where}: no metric of Kith")
        check(used <= metrics, f"{where}: Kith has no metric {sorted(used - metrics)}")
        for values in re.findall(r'outcome[!=]=?~?"([^"]*)"', query):
            check(set(values.split("|")) <= outcomes, f"{where}: no outcomes {set(values.split('|')) - outcomes}")
        for values in re.findall(r'service=~?"([^"$]*)"', query):
            check(set(values.split("|")) <= services, f"{where}: no service {values}")
    check(len(seen) > 30, "dashboard and alerts use few metrics")

    book = open("docs/runbook.md").read()
    sections = set(re.findall(r"^### (\w+)$", book, re.M))
    alerts = {r["alert"] for r in rules}
    check(alerts == {s for s in sections if s.startswith("Kith")}, f"docs/runbook.md: alerts {alerts ^ sections}")
    for rule in rules:
        check(rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}", f"{rule['alert']}: runbook")
        check(rule["labels"]["severity"] in ("page", "ticket"), f"{rule['alert']}: severity")


for overlay in sorted(os.listdir("deploy/k8s/overlays")):
    kubernetes(overlay)
compose()
observability()
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(1 if problems else 0)
