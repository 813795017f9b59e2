"""Breaks a running Kith in every way that a machine can, and checks after each that nothing answered was lost.

`scripts/faults.sh` starts it; `docs/reliability.md` has what came out. Python's standard library only.
"""
