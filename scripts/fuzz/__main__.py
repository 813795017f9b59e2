"""See `scripts/fuzz-api.sh`."""

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from fuzz.report import judge_run
from fuzz.seeds import seed
from fuzz.server import Server

HERE = os.path.dirname(__file__)
EXAMPLES, SHORT = 20_000, 5_000
# Found out by counting: examples of the phases whose number is given, and of the others for each one asked for.
FIXED, CALLS = 4_000, 60


def main():
    arguments = argparse.ArgumentParser(prog="scripts/fuzz-api.sh")
    arguments.add_argument("--examples", type=int, default=None, help=f"at least so many ({EXAMPLES:,})")
    arguments.add_argument("--short", action="store_true", help=f"{SHORT:,} examples")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments.add_argument("--stack", choices=("sqlite", "postgres"), default="sqlite")
    arguments.add_argument("--only", default="", help="only calls whose paths match this regular expression")
    arguments.add_argument("--schemathesis", required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--kith", required=True, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    # Servers and folders are put away whoever ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given.examples = given.examples or (SHORT if given.short else EXAMPLES)
    print(f"seed {given.seed}, at least {given.examples:,} examples, {given.stack}", flush=True)

    with tempfile.TemporaryDirectory(prefix="kith-fuzz-") as folder:
        # PostgreSQL runs as a user of its own where this is root.
        os.chmod(folder, 0o711)
        server = Server(folder, given.kith, given.stack)
        try:
            server.start()
            began = time.monotonic()
            passed = fuzz(given, folder, server)
            took = time.monotonic() - began
            faults = judge_run(folder, server, given)
        finally:
            server.stop()
    print(f"{took:.0f} s")
    if not passed:
        faults.append("schemathesis found failures, above")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    again = f"scripts/fuzz-api.sh --seed {given.seed} --examples {given.examples}"
    print(f"{again}: {'FAILED' if faults else 'passed'}")
    sys.exit(1 if faults else 0)


def fuzz(given, folder, server):
    seed(server.address).save(f"{folder}/known.json")
    with open(f"{folder}/openapi.json", "wb") as f:
        f.write(server.document())
    scripts = os.path.dirname(HERE)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{scripts}:{scripts}/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SCHEMATHESIS_HOOKS": f"{HERE}/hooks.py",
        "KITH_FUZZ_FOLDER": folder,
        "KITH_FUZZ_ADDRESS": server.address,
        "KITH_FUZZ_SEED": str(given.seed),
    }
    each = max(1, math.ceil((given.examples - FIXED) / CALLS))
    command = [given.schemathesis, "--config-file", f"{HERE}/schemathesis.toml", "run"]
    command += [f"http://{server.address}/openapi.json", "--phases", "examples,coverage,fuzzing,stateful"]
    command += ["--seed", str(given.seed), "--max-examples", str(each), "--workers", "1", "--continue-on-failure"]
    command += ["--generation-database", "none", "--request-timeout", "30", "--no-color", "--warnings", "off"]
    command += ["--suppress-health-check", "all"]
    if given.only:
        command += ["--include-path-regex", given.only]
    return subprocess.run(command, env=environment, cwd=folder, check=False).returncode == 0


main()
