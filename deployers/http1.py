"""The few rules of HTTP/1.1 (RFC 9110, RFC 9112) that a proxy must follow, on raw bytes."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]
Payload = tuple[bytes | bytearray, ...]
"""The bytes of a request, in parts so that a large body is not copied."""

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_IDEMPOTENT = frozenset((b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"TRACE"))
_VERSIONS = ("1.0", "1.1")
_SCHEMES = (b"http", b"https")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_SMALL = 65_536
"""Bytes up to which copying a body is cheaper than sending it as a part of its own."""
_MEDIA_TYPE = 100
"""Characters of a media type that are recorded; registered ones are shorter."""
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)
class HttpRequest:
    """A request, complete or still arriving."""

    method: bytes = b""
    target: bytes = b""
    headers: Headers = field(default_factory=list)
    size: int = 0
    """Bytes of the headers."""
    hosts: int = 0
    """Number of `Host` headers."""
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True
    chunks: bool = True
    """Whether the caller understands chunked responses (HTTP/1.1)."""

    _first: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        key = name.lower()
        self.headers.append((name, value))
        self._first.setdefault(key, value)
        self.size += len(name) + len(value)
        self.hosts += key == b"host"

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its name in lower case."""
        return self._first.get(name)

    def repeatable(self, predict: bytes) -> bool:
        """Whether it can safely be sent twice; a prediction can."""
        return self.method in _IDEMPOTENT or self.target.partition(b"?")[0] == predict


def refused(request: HttpRequest, version: str) -> tuple[int, str] | None:
    """The status and reason for refusing a request because of its head, or None."""
    if version not in _VERSIONS:
        return 505, f"expected HTTP/1.1 or HTTP/1.0, not HTTP/{version}"
    if request.hosts > 1 or (not request.hosts and version == "1.1"):
        return 400, f"expected one Host header, found {request.hosts or 'none'}"
    if _HOST.fullmatch(request.header(b"host") or b"") is None:
        return 400, "expected a Host header with a name or an address, and perhaps a port"
    if request.method == b"CONNECT":
        return 501, "the router does not support CONNECT"
    return None


def media_type(headers: Headers) -> str:
    """The media type of a response, in lower case without parameters; printable and bounded."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return _media_type(value)
    return ""


@lru_cache(maxsize=256)
def _media_type(value: bytes) -> str:
    text = value.partition(b";")[0].strip().lower().decode("ascii", errors="replace")
    return "".join(char if char.isprintable() else "?" for char in text[:_MEDIA_TYPE])


def _end_to_end(headers: Headers) -> Headers:
    """The headers that are not specific to one connection (RFC 9110, 7.6.1)."""
    dropped: Iterable[bytes] = _HOP_BY_HOP
    for name, value in headers:
        if name.lower() == b"connection":
            named = {option.strip().lower() for option in value.split(b",")}
            dropped = {*dropped, *named - {b"close", b"keep-alive"}}
    return [pair for pair in headers if pair[0].lower() not in dropped]


def forwarded(request: HttpRequest, peer: bytes, request_id: bytes, *, trusted: bool) -> Payload:
    """A request as it is sent to the server; `Host` is left as the caller set it.

    A `trusted` caller is a proxy whose headers about its own caller are kept.
    """
    parts = [request.method, b" ", request.target, b" HTTP/1.1\r\n"]
    via = [peer]
    for name, value in _end_to_end(request.headers):
        match name.lower():
            case b"content-length" | b"x-request-id" | b"x-forwarded-host" | b"x-forwarded-proto":
                continue
            case b"x-forwarded-for":
                via.insert(-1, value)
                continue
        parts += (name, b": ", value, b"\r\n")
    parts += (b"X-Request-Id: ", request_id, b"\r\nX-Forwarded-For: ", b", ".join(via))
    scheme = (request.header(b"x-forwarded-proto") or b"").lower() if trusted else b""
    parts += (b"\r\nX-Forwarded-Proto: ", scheme if scheme in _SCHEMES else b"http", b"\r\n")
    host = request.header(b"x-forwarded-host") if trusted else None
    if (host := host or request.header(b"host")) is not None:
        parts += (b"X-Forwarded-Host: ", host, b"\r\n")
    if request.body or request.method in {b"POST", b"PUT", b"PATCH"}:
        parts += (b"Content-Length: %d\r\n" % len(request.body),)
    if len(request.body) <= _SMALL:
        return (b"".join((*parts, b"\r\n", request.body)),)
    return b"".join((*parts, b"\r\n")), request.body


def head(status: int, headers: Headers, *, keep_alive: bool, chunked: bool) -> bytes:
    """The head of a response as it is sent to the caller."""
    parts = [b"HTTP/1.1 %d " % status, _REASONS.get(status, b""), b"\r\n"]
    for name, value in _end_to_end(headers):
        parts += (name, b": ", value, b"\r\n")
    if chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    parts.append(b"Connection: keep-alive\r\n\r\n" if keep_alive else b"Connection: close\r\n\r\n")
    return b"".join(parts)


def refusal(
    status: int, reason: str, request_id: bytes | None, *, keep_alive: bool, body: bool = True
) -> bytes:
    """A response from the router itself, with the reason in JSON."""
    answer: dict[str, str] = {"error": reason, "by": "headgate router"}
    if request_id is not None:
        answer["request_id"] = request_id.decode("latin-1")
    content = json.dumps(answer).encode()
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(content)),
    ]
    return head(status, headers, keep_alive=keep_alive, chunked=False) + (content if body else b"")
