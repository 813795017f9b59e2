"""The table."""

from faults.catalogue import WEIGHTS

HEAD = [
    "fault",
    "rounds",
    "writes acknowledged",
    "calls",
    "failed calls",
    "slowest answer",
    "presence right after",
    "all healed after",
    "violations",
]


def row(name, results):
    return [
        name,
        str(len(results)),
        f"{sum(r.acknowledged for r in results):,}",
        f"{sum(r.calls for r in results):,}",
        f"{sum(r.failed for r in results):,}",
        f"{max(r.slowest for r in results):.1f} s",
        f"{max(r.presence for r in results):.1f} s",
        f"{max(r.recovery for r in results):.1f} s",
        str(sum(len(r.violations) for r in results)),
    ]


def table(results):
    """In Markdown, a row for each kind of fault."""
    rows = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)]]
    for kind in WEIGHTS:
        of_kind = [r for r in results if r.kind == kind]
        if of_kind:
            rows.append(row(kind, of_kind))
    if results:
        rows.append(row("all", results))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
