"""Webhooks as GitHub sends them, signed and in order, and every way in which they go wrong."""

import hashlib
import hmac
import json
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.doubles.github import description, render
from tests.doubles.github.state import Hub, Repository, User

Payload = dict[str, Any]
GITHUB_WAITS = 10.0  # seconds for an answer, then the delivery has failed


@dataclass(frozen=True)
class Delivery:
    """One webhook, ready to be sent. Sent again, it keeps its `guid`."""

    guid: str
    event: str
    body: bytes
    headers: dict[str, str]
    again: bool = False


@dataclass
class Webhooks:
    """Sends to `url` from a thread of its own; nothing is sent while there is no `url`.

    `lose`, `double` and `hold` change what happens to the events that come; `forge`, `replay` and
    `oversize` send what GitHub never would. `settle` waits until all has been sent.
    """

    hub: Hub
    url: str | None = None
    violations: list[str] = field(default_factory=list)
    sent: list[Delivery] = field(default_factory=list)
    _queue: "queue.Queue[Delivery | None]" = field(default_factory=queue.Queue)
    _lost: list[str] = field(default_factory=list)
    _doubled: list[str] = field(default_factory=list)
    _held: list[Delivery] | None = None
    _thread: threading.Thread | None = None

    def emit(self, repo: Repository | None, event: str, who: User, payload: Payload) -> None:
        """Send an event, as its description has it; one that does not fit is a violation."""
        app = self.hub.app
        if self.url is None or app is None or (event not in app.events and event not in _ALWAYS):
            return
        whole = payload | {"sender": render.user(self.hub, who)}
        if repo is not None:
            whole["repository"] = render.repository(self.hub, repo)
            for installation in self.hub.installations.values():
                if repo in installation.repositories:
                    node = render.node_id("Installation", installation.id)
                    whole["installation"] = {"id": installation.id, "node_id": node}
        self.violations += [
            f"webhook {event}: {f}" for f in description.webhook_faults(event, whole)
        ]
        self._dispatch(self.signed(event, whole, app.webhook_secret))

    def signed(self, event: str, payload: Payload | bytes, secret: str) -> Delivery:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        guid = str(uuid.uuid4())
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        app = self.hub.the_app()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/double",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(app.id),
            "X-GitHub-Hook-Installation-Target-ID": str(app.id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        return Delivery(guid, event, body, headers)

    def lose(self, event: str, times: int = 1) -> None:
        """Do not send the next events of a kind."""
        self._lost += [event] * times

    def double(self, event: str, times: int = 1) -> None:
        """Send the next events of a kind twice, under one delivery id."""
        self._doubled += [event] * times

    def hold(self) -> None:
        """Keep what comes until `release`."""
        self._held = []

    def release(self, order: Callable[[list[Delivery]], list[Delivery]] = list) -> None:
        """Send what was held, in the order that `order` makes of it."""
        held, self._held = self._held or [], None
        for delivery in order(held):
            self._send_soon(delivery)

    def forge(self, event: str, payload: Payload) -> int:
        """Send an event signed with a wrong secret; the status that came back."""
        return self._send(self.signed(event, payload, "not the secret")).status_code

    def replay(self, delivery: Delivery) -> int:
        """Send exactly the bytes and headers of an earlier delivery; the status that came back."""
        return self._send(delivery).status_code

    def oversize(self, event: str, size: int = 26_000_000) -> int:
        """Send a rightly signed event with a body of `size` bytes; the status that came back."""
        filler = b'{"zen":"' + b"x" * (size - 10) + b'"}'
        return self._send(self.signed(event, filler, self.hub.the_app().webhook_secret)).status_code

    def redeliver(self, shown: Payload) -> None:
        """Send again what GET /app/hook/deliveries shows."""
        (first, *_) = [it for it in self.sent if it.guid == shown["guid"]]
        self._send_soon(replace(first, again=True))

    def settle(self) -> None:
        """Wait until everything that happened has been sent and answered."""
        self._queue.join()

    def stop(self) -> None:
        if self._thread:
            self._queue.put(None)
            self._thread.join()

    def _dispatch(self, delivery: Delivery) -> None:
        if delivery.event in self._lost:
            self._lost.remove(delivery.event)
            return
        copies = 1
        if delivery.event in self._doubled:
            self._doubled.remove(delivery.event)
            copies = 2
        for _ in range(copies):
            if self._held is None:
                self._send_soon(delivery)
            else:
                self._held.append(delivery)

    def _send_soon(self, delivery: Delivery) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._queue.put(delivery)

    def _work(self) -> None:
        while (delivery := self._queue.get()) is not None:
            try:
                self._deliver(delivery)
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _send(self, delivery: Delivery) -> httpx.Response:
        assert self.url is not None, "no webhook address is set"
        return httpx.post(
            self.url,
            content=delivery.body,
            headers=delivery.headers,
            timeout=GITHUB_WAITS,
            trust_env=False,
        )

    def _deliver(self, delivery: Delivery) -> None:
        began = time.monotonic()
        answer: httpx.Response | None = None
        try:
            answer = self._send(delivery)
            code, status = answer.status_code, answer.reason_phrase or "OK"
        except httpx.TimeoutException:
            code, status = 0, "timed out"
        except httpx.HTTPError:
            code, status = 0, "failed to connect to host"
        self.sent.append(delivery)
        payload = json.loads(delivery.body)
        self.hub.deliveries.append(
            {
                "id": self.hub.next_id(),
                "guid": delivery.guid,
                "delivered_at": self.hub.now(),
                "redelivery": delivery.again,
                "duration": round(time.monotonic() - began, 3),
                "status": status,
                "status_code": code,
                "event": delivery.event,
                "action": payload.get("action"),
                "installation_id": payload.get("installation", {}).get("id"),
                "repository_id": payload.get("repository", {}).get("id"),
                "url": self.url,
                "request": {"headers": delivery.headers, "payload": payload},
                "response": {
                    "headers": dict(answer.headers) if answer else None,
                    "payload": answer.text if answer else None,
                },
            }
        )


# Sent to every app, whatever it subscribes to.
_ALWAYS = ("ping", "installation")
