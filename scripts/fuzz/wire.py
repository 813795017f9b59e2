"""What a request asks, read from the bytes that were sent as the contract has its family read them (contract §0)."""

import json
import re
import urllib.parse
from dataclasses import dataclass, field

ACTIONS = "A"
ACCOUNTS = "B"
GROUPS = "C"
FRIENDS = "D"


class Unreadable(Exception):
    """Parameters that no reader makes anything of."""


@dataclass
class Sent:
    """A request as it was sent."""

    method: str
    path: str
    query: str
    headers: dict
    body: bytes

    @classmethod
    def of(cls, request):
        url = urllib.parse.urlsplit(request.url)
        headers = {name.lower(): plain(value) for name, value in request.headers.items()}
        body = request.body or b""
        return cls(request.method, url.path, url.query, headers, body.encode() if isinstance(body, str) else body)

    def segments(self):
        return [urllib.parse.unquote(segment) for segment in self.path.strip("/").split("/")]


@dataclass
class Params:
    """Parameters of all sources in one, and file parts by name."""

    values: dict
    files: dict = field(default_factory=dict)


def plain(value):
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def family(path):
    """Contract §0: whose words a path is answered in."""
    path = path.rstrip("/")
    if path.endswith(".action"):
        return ACTIONS
    if re.match(r"/[^/]+/Application(/|$)", path):
        return FRIENDS
    return GROUPS if re.match(r"/(im|cmd)(/|$)", path) else ACCOUNTS


def params(sent):
    kind = family(sent.path)
    if kind in (ACCOUNTS, FRIENDS):
        return Params(json_object(sent.body))
    read = Params(pairs(sent.query.encode()))
    is_json = kind == GROUPS and sent.body.lstrip(b" \t\r\n").startswith(b"{")
    content_type = sent.headers.get("content-type", "")
    if is_json:
        read.values.update(json_object(without_trailing_commas(sent.body)))
    elif content_type.strip().lower().startswith("multipart/"):
        more = multipart(sent.body, content_type)
        read.values.update(more.values)
        read.files = more.files
    else:
        read.values.update(pairs(sent.body))
    return read


def pairs(text):
    values = {}
    for pair in filter(None, text.split(b"&")):
        name, _, value = (decoded(part) for part in pair.partition(b"="))
        values[name.strip()] = value
    return values


def decoded(part):
    try:
        return urllib.parse.unquote_to_bytes(part.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as e:
        raise Unreadable("not UTF-8") from e


def multipart(body, content_type):
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if not boundary:
        raise Unreadable("multipart without a boundary")
    read = Params({})
    for part in body.split(b"--" + boundary[1].encode("latin-1"))[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            where = read.files if b"filename" in head else read.values
            content = content.removesuffix(b"\r\n")
            where[name[1].decode().strip()] = content if where is read.files else text_of(content)
    return read


def text_of(content):
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise Unreadable("not UTF-8") from e


def json_object(body):
    def unknown(constant):
        raise Unreadable(f"{constant} is no JSON")

    try:
        value = json.loads(body.decode(), parse_constant=unknown)
        # Half a character, which only Python takes.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        raise Unreadable(f"no JSON: {e}") from e
    if not isinstance(value, dict):
        raise Unreadable("no JSON object")
    return value


def without_trailing_commas(body):
    """Commas before a closing bracket, outside strings, are dropped."""
    strings_and_commas = re.compile(rb'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
    return strings_and_commas.sub(lambda found: b"" if found[0] == b"," else found[0], body)
