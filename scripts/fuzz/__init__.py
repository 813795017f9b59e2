"""Throws generated requests at every call of the API document and holds each answer against document and contract.

`scripts/fuzz-api.sh` starts it; `docs/reliability.md` has what came out. `__main__` runs the server and schemathesis,
schemathesis loads `hooks`, and from there:

- `guide` puts known users, groups, keys and credentials into most examples, `credentials` wrong ones into some;
- `wire` reads what was really sent, `judge` says whether it must fail, and as what, `answers` what is wrong with the
  answer.
"""
