"""What is known to exist: users, credentials, groups, keys. Begins as what was seeded and learns from answers."""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field

PASSWORD = "correct horse battery"
SYSTEM, OTHER = "kith", "20150314000000110000000000000010"


@dataclass
class Known:
    auth_tokens: dict = field(default_factory=lambda: {SYSTEM: "kith-dev-token", OTHER: "kith-dev-token-2"})
    secrets: list = field(default_factory=lambda: ["tuoyun", "tuoyun-2"])
    # Uids of the system app with PASSWORD, the first one an administrator; and some whose passwords may be guessed at:
    # whoever fails too often is locked out.
    users: list = field(default_factory=list)
    victims: list = field(default_factory=list)
    others: list = field(default_factory=list)
    keys: list = field(default_factory=list)
    courses: list = field(default_factory=list)
    groups: list = field(default_factory=list)
    media: list = field(default_factory=list)
    # All passwords that a user of the system app ever had, all tokens and form tokens ever seen.
    passwords: dict = field(default_factory=dict)
    tokens: list = field(default_factory=list)
    forms: list = field(default_factory=list)
    # The newest token of each user.
    own: dict = field(default_factory=dict)

    def save(self, path):
        with open(path, "w") as f:
            json.dump(asdict(self), f)

    @classmethod
    def load(cls, path):
        with open(path) as f:
            known = cls(**json.load(f))
        known.passwords = defaultdict(list, known.passwords)
        return known

    def learn(self, call, values, answer):
        """From a success: what was asked, and what was answered."""
        for token in tokens_in(answer):
            if token not in self.tokens:
                self.tokens.append(token)
        uid = str(values.get("uid", values.get("username", "")))
        if values.get("password") is not None and call in ("user_register", "update_user_info", "cmd"):
            self.passwords[uid].append(str(values["password"]))
        if call == "group_create":
            self.groups = [*self.groups[-30:], answer["group_id"]]


def tokens_in(answer):
    data = answer.get("data")
    for holder in (answer, data if isinstance(data, dict) else {}):
        if isinstance(holder.get("token"), str) and holder["token"]:
            yield holder["token"]
