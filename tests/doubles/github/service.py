"""One request through the service: credentials, limit, description, handler, description."""

import hashlib
import html
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.doubles.github import api, description
from tests.doubles.github.calls import ROUTES, Call, Refusal, Reply, authorise, encoded
from tests.doubles.github.description import Operation
from tests.doubles.github.guard import Faults, Limits, authenticate
from tests.doubles.github.state import Hub, Token

assert api.ALL  # importing them has filled the table of routes
_OPEN_WITHOUT_TOKEN = ("GET /meta", "GET /rate_limit")


@dataclass(frozen=True)
class Record:
    """One call, as tests count it: `operation` is the method and the path template."""

    operation: str
    path: str
    status: int


@dataclass
class Service:
    hub: Hub
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    records: list[Record] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The answer to a request; header names are in lower case."""
        path = urlsplit(target).path.removeprefix("/api/v3")
        with self.lock:
            found = description.find(method, path)
            if found is None:
                self.violations.append(f"{method} {path}: the double does not know this operation")
                reply = Reply(404, Refusal(404, "Not Found").body)
                name = f"{method} {path}"
            else:
                name = found[0].name
                reply = self._judged(found, target, headers, body)
            self.records.append(Record(name, path, reply.status))
            return reply

    def _judged(
        self,
        found: tuple[Operation, dict[str, str]],
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> Reply:
        operation, raw = found
        key, now = "anonymous", self.hub.seconds()
        free = operation.name == "GET /rate_limit"
        try:
            who = authenticate(self.hub, headers.get("authorization"))
            key = key_of(who)
            self.limits.before(key, now, operation.method != "GET", free)
            reply = self._handled(operation, raw, target, headers, body, who)
        except Refusal as refusal:
            reply = Reply(refusal.status, refusal.body, refusal.headers)
        if faults := description.response_faults(operation, reply.status, reply.body):
            self.violations += [f"{operation.name} answered {reply.status}: {f}" for f in faults]
            reply = Reply(
                500, {"message": "The double broke GitHub's description: " + "; ".join(faults)}
            )
        if operation.method == "GET" and reply.status == 200:
            etag = f'"{hashlib.sha256(encoded(reply.body)).hexdigest()}"'
            reply.headers["ETag"] = etag
            if etag in headers.get("if-none-match", "").replace("W/", ""):
                reply = Reply(304, None, {"ETag": etag})
        if not free and reply.status != 304:  # a conditional request that found nothing new is free
            self.limits.count(key, now)
        reply.headers |= self.limits.headers(key, now)
        return reply

    def _handled(
        self,
        operation: Operation,
        raw: dict[str, str],
        target: str,
        headers: dict[str, str],
        body: bytes,
        who: Token | None,
    ) -> Reply:
        route = ROUTES[operation.name]
        is_app = (
            who is not None
            and self.hub.app is not None
            and who.user is self.hub.app.bot
            and not who.installation
        )
        if (route.by == "jwt") != is_app and operation.name not in _OPEN_WITHOUT_TOKEN:
            raise Refusal(
                401,
                "A JSON web token could not be decoded" if route.by == "jwt" else "Bad credentials",
            )
        if who is None and operation.name not in _OPEN_WITHOUT_TOKEN and not raw:
            raise Refusal(401, "Requires authentication")
        try:
            params = description.path_parameters(operation, raw)
        except ValueError as error:
            raise Refusal(404, "Not Found") from error
        given = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        query, wrong = description.query_of(operation, given)
        parsed = self._parsed(body)
        path = urlsplit(target).path
        call = Call(
            self.hub, path, params, query, given, parsed or {}, headers.get("accept", ""), who
        )
        authorise(call, route)
        if "requestBody" in operation.spec or parsed:
            wrong += description.request_faults(operation, parsed)
        if wrong:
            self.violations += [f"{operation.name}: {fault}" for fault in wrong]
            raise Refusal(422, "Invalid request.\n\n" + "\n".join(wrong), wrong)
        if "repo" in raw:
            api.notice(self.hub, call.repo)
        reply = route.handler(call)
        return Reply(reply.status, _with_bodies(reply.body, call.accept), reply.headers)

    def _parsed(self, body: bytes) -> Any:
        try:
            return json.loads(body) if body else None
        except ValueError as error:
            self.violations.append("a body that is no JSON")
            raise Refusal(400, "Problems parsing JSON") from error


def key_of(who: Token | None) -> str:
    if who is None:
        return "anonymous"
    return f"installation {who.installation.id}" if who.installation else f"user {who.user.login}"


def _with_bodies(shown: Any, accept: str) -> Any:
    """GitHub's media type `full`: beside a body in Markdown, as text and as HTML."""
    if "full" not in accept:
        return shown
    if isinstance(shown, list):
        return [_with_bodies(item, accept) for item in shown]
    if isinstance(shown, dict) and "body" in shown:
        text = shown["body"] or ""
        return shown | {"body_text": text, "body_html": f"<p>{html.escape(text)}</p>"}
    return shown
