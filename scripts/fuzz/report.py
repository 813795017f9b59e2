"""What a run must have come to, beyond no failure."""

import json
import os

from fuzz.tally import summary

# MiB that a debug build may need; measured: see docs/reliability.md.
MEMORY = 400
# Calls that no example can bring to succeed.
NEVER = {
    "GET /ws": "needs an upgrade",
    "GET /tu_rc_sync_urp_from_hp.action": "contract §1: a portrait comes by POST",
    "GET /tu_ua_send_matrix_info_from_tn.action": "the code is only in a picture",
    "POST /tu_ua_send_matrix_info_from_tn.action": "the code is only in a picture",
}
# Of so many examples of a call some must succeed.
ENOUGH = 100


def judge_run(folder, server, given):
    faults = server.ills()
    memory = server.memory() if server.kith.alive() else 0
    if memory > MEMORY:
        faults.append(f"kith needed {memory} MiB, more than {MEMORY}")
    if not os.path.exists(f"{folder}/tally.json"):
        return [*faults, "schemathesis did not come to its end"]
    with open(f"{folder}/tally.json") as f:
        result = json.load(f)
    rows = result["rows"]
    examples = sum(row["examples"] for row in rows.values())
    print(f"\n{summary(result)}")
    statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(result["statuses"].items()))
    print(f"{examples:,} examples of {len(rows)} calls; {statuses}; memory {memory} MiB at most")
    print(f"the check was tried on {result['tried']} successes for requests that must fail")
    if result["missed"]:
        faults.append(f"the check of ours does not see successes that must not be: {', '.join(result['missed'])}")
    if given.only:
        return faults
    if not result["tried"]:
        faults.append("the check of ours was never tried")
    if examples < given.examples:
        faults.append(f"only {examples:,} examples")
    for name, row in rows.items():
        # Of few examples of a call none may succeed by chance.
        if not row["successes"] and name not in NEVER and row["examples"] >= ENOUGH:
            faults.append(f"{name}: none of {row['examples']} examples succeeded")
    return faults
