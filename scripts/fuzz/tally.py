"""What the examples came to, by call; and at the end whether the check of ours sees what it is there for."""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass

from fuzz.wire import family


KEPT = 3


@dataclass
class Row:
    examples: int = 0
    successes: int = 0
    failures: int = 0
    # Those that had to fail, and of these the ones without the credentials of their family.
    outside: int = 0
    unsigned: int = 0


class Tally:
    def __init__(self):
        self.rows = defaultdict(Row)
        self.statuses = defaultdict(int)
        # By call: some requests that had to fail, some answers of success.
        self.faulty, self.good = defaultdict(list), defaultdict(list)

    def add(self, name, sent, answer, fault, success):
        row = self.rows[name]
        row.examples += 1
        self.statuses[answer.status_code] += 1
        row.successes += success
        row.failures += not success
        if fault:
            unsigned = fault.why.startswith("unsigned")
            row.unsigned += unsigned
            row.outside += not unsigned
            kinds = self.faulty[name]
            if not success and sum(k == unsigned for k, _ in kinds) < KEPT:
                kinds.append((unsigned, sent))
        elif success and len(self.good[name]) < KEPT:
            self.good[name].append(answer)

    def blind_spots(self, complaint):
        """Calls of which the check would let a success for a request pass that must fail: of real requests and real
        answers, put together wrongly."""
        tried, missed = 0, []
        for name, faulty in self.faulty.items():
            for _, sent in faulty:
                for answer in self.good[name]:
                    tried += 1
                    if complaint(name, sent, answer) is None:
                        missed.append(name)
        return tried, sorted(set(missed))

    def save(self, path, tried, missed):
        rows = {name: asdict(row) for name, row in self.rows.items()}
        with open(path, "w") as f:
            json.dump({"rows": rows, "statuses": self.statuses, "tried": tried, "missed": missed}, f)


def summary(result):
    """The table by family, as text."""
    by_family = defaultdict(Row)
    for name, row in result["rows"].items():
        kind = by_family[family(name.split(" ", 1)[1])]
        for key, value in row.items():
            setattr(kind, key, getattr(kind, key) + value)
    lines = [f"{'family':8}{'examples':>10}{'successes':>11}{'outside':>9}{'unsigned':>10}"]
    for kind, row in sorted(by_family.items()):
        lines.append(f"{kind:8}{row.examples:10,}{row.successes:11,}{row.outside:9,}{row.unsigned:10,}")
    return "\n".join(lines)
