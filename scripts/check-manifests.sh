#!/usr/bin/env bash
# Checks what is deployed: the overlays of deploy/k8s against Kubernetes' schemas, every name in them and in
# docker-compose.yml against what it refers to, the settings that each process gets against the process itself
# (--check), and the metrics of alerts and dashboard against those that Kith has.
# Needs the debug build (cargo build --workspace --all-features) and Python 3. kubectl and promtool are found or taken
# from Debian's packages without installing them, kubernetes-validate from PyPI; all below target/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

tools="$PWD/target/manifests"
mkdir -p "$tools"

# need_tool COMMAND PACKAGE: on the PATH, or out of Debian's package.
need_tool() {
    command -v "$1" >/dev/null && return
    PATH="$PATH:$tools/usr/bin"
    command -v "$1" >/dev/null && return
    step "Unpacking $2"
    (cd "$tools" && { apt-get download -qq "$2" || { apt-get update -qq && apt-get download -qq "$2"; }; } &&
        dpkg -x "$2"_*.deb . && rm -f "$2"_*.deb) >/dev/null 2>&1
    command -v "$1" >/dev/null || fail "$1 is missing: install Debian's package $2 (apt-get install $2)"
}

need_validate() {
    [ -x "$tools/venv/bin/kubernetes-validate" ] && return
    step "Installing kubernetes-validate from PyPI"
    command -v python3 >/dev/null || need_server python3 python3
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv" 2>/dev/null || { need_package python3-venv && python3 -m venv "$tools/venv"; } ||
        fail "python3 -m venv does not work: install Debian's package python3-venv"
    "$tools/venv/bin/pip" install --quiet 'kubernetes-validate>=1.30,<2' 'PyYAML>=6,<7' || fail "kubernetes-validate could not be installed from PyPI"
}

need_tool kubectl kubernetes-client
need_tool promtool prometheus
need_validate

step "Overlays"
for overlay in deploy/k8s/overlays/*/; do
    name=$(basename "$overlay")
    kubectl kustomize "$overlay" >"$tools/$name.yaml" 2>"$tools/log" || { cat "$tools/log" >&2; fail "$overlay"; }
    "$tools/venv/bin/kubernetes-validate" --strict --quiet "$tools/$name.yaml" || fail "$overlay"
done
echo certificate >"$tools/ca.crt"
POSTGRES=db.example.com POSTGRES_CA="$tools/ca.crt" REDIS=redis.example.com REDIS_PASSWORD=x S3_KEY_ID=x S3_SECRET=x \
    deploy/k8s/make-secrets.sh >"$tools/secrets.yaml"
"$tools/venv/bin/kubernetes-validate" --strict --quiet "$tools/secrets.yaml" || fail "deploy/k8s/make-secrets.sh"

step "Prometheus"
promtool check rules deploy/observability/alerts.yml >"$tools/log" || { cat "$tools/log" >&2; fail "alerts.yml"; }
promtool check config deploy/observability/prometheus.yml >"$tools/log" || { cat "$tools/log" >&2; fail "prometheus.yml"; }

step "Names and settings"
"$tools/venv/bin/python" scripts/lib/check_manifests.py "$tools"
