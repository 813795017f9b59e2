"""Whether a request must fail, whoever made it and why: read from what was sent, by the document and the contract."""

from dataclasses import dataclass

import jsonschema_rs

from fuzz import leniencies, signature, wire
from fuzz.wire import ACCOUNTS, ACTIONS, FRIENDS, GROUPS

# Calls of family C without credentials.
OPEN = ("group_get_info", "cmd")
# Fields whose limit counts bytes.
BYTES = {"icon": 1024}
IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
PARAMETER, LIST = "112180", "112188"


@dataclass
class Fault:
    """Why a request must fail, and the codes of which the failure must have one; None: any."""

    why: str
    codes: set | None = None


class Judge:
    def __init__(self, document, known):
        self.document, self.known = document, known
        self.validators = {}

    def fault(self, template, sent):
        """The first reason, in the contract's order, for which it must fail; None where it may succeed."""
        method = "get" if sent.method == "HEAD" else sent.method.lower()
        operation = self.document["paths"].get(template, {}).get(method)
        if operation is None:
            return Fault("a method that the call does not take")
        call = template.rstrip("/").rsplit("/", 1)[-1].removesuffix(".action")
        if template.startswith("/bind"):
            return self.page(sent)
        if "requestBody" not in operation and not any(p["in"] == "query" for p in operation.get("parameters", ())):
            # Reads nothing but its path.
            return self.path(template, sent)
        family = wire.family(template)
        judges = {ACTIONS: self.action, ACCOUNTS: self.account, GROUPS: self.group, FRIENDS: self.friend}
        return judges[family](operation, template, call, sent)

    def path(self, template, sent):
        if "{group_id}" in template and not 1 <= number(sent.segments()[1]) < 1 << 63:
            return Fault("group_id: not a positive number")
        return None

    def page(self, sent):
        """The binding page: a form of which the token is not one that we got there changes nothing."""
        if sent.method != "POST":
            return None
        try:
            form = wire.pairs(sent.body).get("form", "")
        except wire.Unreadable as e:
            return Fault(str(e))
        return None if form in self.known.forms else Fault("unsigned: a form token of nobody's")

    def action(self, operation, template, call, sent):
        try:
            read = wire.params(sent)
        except wire.Unreadable as e:
            return Fault(str(e))
        values = dict(read.values)
        if "portrait" in read.files:
            values["portrait"] = "a file"
        if outside := self.outside(operation, template, call, sent, values):
            return Fault(outside[0])
        if "portrait" in read.files and not read.files["portrait"].startswith(IMAGES):
            return Fault("portrait: no image")
        app_id = values.get("app_id", "")
        return None if app_id in ("", *self.known.auth_tokens) else Fault(f"app_id: unknown: {app_id!r}")

    def account(self, operation, template, call, sent):
        if "requestBody" not in operation:
            # Of no family, or the socket's.
            return None
        try:
            values = wire.params(sent).values
        except wire.Unreadable as e:
            return Fault(str(e), {400})
        if outside := self.outside(operation, template, call, sent, values):
            return Fault(outside[0], {400})
        values = leniencies.applied(values, call)
        secret = str(values.get("secret"))
        return None if secret in self.known.secrets else Fault(f"unsigned: secret {secret!r}", {401})

    def group(self, operation, template, call, sent):
        try:
            values = wire.params(sent).values
        except wire.Unreadable as e:
            return Fault(str(e))
        if outside := self.outside(operation, template, call, sent, values):
            return Fault(outside[0])
        if wrong := self.path(template, sent):
            return wrong
        if call in OPEN:
            return None
        values = leniencies.applied(values, call)
        username, password, token = (str(values.get(name, "")) for name in ("username", "password", "token"))
        if token:
            return None if token in self.known.tokens else Fault("unsigned: a token of nobody's")
        right = password in self.known.passwords.get(username, ())
        return None if right else Fault(f"unsigned: no password of {username!r}")

    def friend(self, operation, template, call, sent):
        if codes := signature.faults(sent, self.known.auth_tokens):
            return Fault(f"unsigned: {', '.join(sorted(codes))}", codes)
        if not sent.body.strip(b" \t\r\n") and (call != "uploadAvatar" or not sent.body):
            return Fault("no body", {"160030"})
        if call == "uploadAvatar":
            return self.upload(operation, template, call, sent)
        try:
            values = wire.params(sent).values
        except wire.Unreadable as e:
            return Fault(str(e), {"160031"})
        if outside := self.outside(operation, template, call, sent, values):
            return Fault(outside[0], {LIST if keyword == "maxItems" else PARAMETER for keyword in outside[1]})
        return None

    def upload(self, operation, template, call, sent):
        try:
            values = wire.pairs(sent.query.encode())
        except wire.Unreadable:
            # Where it is another parameter, nobody minds.
            return None
        outside = self.outside(operation, template, call, sent, values)
        if outside:
            return Fault(outside[0], {PARAMETER})
        return None if sent.body.startswith(IMAGES) else Fault("no image", {"112189", "112180", "112181"})

    def outside(self, operation, template, call, sent, values):
        """What the document does not allow, and the keywords that say so."""
        values = leniencies.applied(values, call)
        key = operation["operationId"]
        if key not in self.validators:
            schema = {**schema_of(operation), "components": self.document["components"]}
            self.validators[key] = (schema, jsonschema_rs.Draft202012Validator(schema))
        schema, validator = self.validators[key]
        found = [
            (f"{'.'.join(map(str, e.instance_path))}: {e.message[:200]}", str(e.schema_path[-1]))
            for e in validator.iter_errors(leniencies.digits(values))
        ]
        for name, value in named_scalars(values, self.names(schema)):
            if wrong := unreadable(name, value):
                found.append((f"{name}: {wrong}", wrong))
        if not found:
            return None
        return f"outside the schema: {'; '.join(text for text, _ in found)}", {rule for _, rule in found}

    def names(self, schema):
        """The fields that a call reads, at any depth."""
        found = set()

        def walk(node):
            if "$ref" in node:
                walk(self.document["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]])
            for name, inner in node.get("properties", {}).items():
                found.add(name)
                walk(inner)
            for inner in (node.get("items"), *node.get("oneOf", ()), *node.get("anyOf", ())):
                if isinstance(inner, dict):
                    walk(inner)

        walk(schema)
        return found


def schema_of(operation):
    """Of all that a call reads, query or body, as one object."""
    contents = operation.get("requestBody", {}).get("content", {})
    own = next((kind["schema"] for name, kind in contents.items() if "octet" not in name), None)
    if own:
        return own
    queried = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    return {
        "type": "object",
        "properties": {parameter["name"]: parameter["schema"] for parameter in queried},
        "required": [parameter["name"] for parameter in queried if parameter.get("required")],
    }


def unreadable(name, value):
    """What JSON Schema cannot say."""
    # To it 1.0 is an integer.
    if isinstance(value, float) or isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return "no integer of 64 bits"
    if isinstance(value, str) and "\0" in value:
        return "NUL"
    if isinstance(value, str) and len(value.encode()) > BYTES.get(name, 1 << 30):
        return "too many bytes"
    return None


def named_scalars(value, names, name=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in names:
                yield from named_scalars(inner, names, key)
    elif isinstance(value, list):
        for inner in value:
            yield from named_scalars(inner, names, name)
    else:
        yield name, value


def number(text):
    return int(text) if text.isascii() and text.isdigit() and len(text) < 30 else 0
