"""What runs before the API: authentication, rate limits, and faults requested by a test."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt

from tests.doubles.github.calls import Refusal
from tests.doubles.github.state import Hub, Token


def authenticate(hub: Hub, header: str | None) -> Token | None:
    """Who an Authorization header names; None without one, 401 for one that is bad or ended."""
    if not header:
        return None
    match = re.fullmatch(r"(?:bearer|token)\s+(\S+)", header.strip(), re.IGNORECASE)
    if not match:
        raise Refusal(401, "Bad credentials")
    text = match[1]
    if text.count(".") == 2:
        return _app_itself(hub, text)
    token = hub.tokens.get(text)
    if token is None or (token.expires is not None and token.expires <= hub.seconds()):
        raise Refusal(401, "Bad credentials")
    if token.installation and token.installation.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    return token


def _app_itself(hub: Hub, text: str) -> Token:
    """A JSON Web Token signed by the app: RS256, at most ten minutes long, not from the future."""
    app = hub.the_app()
    try:
        claims = jwt.decode(
            text,
            app.public_key,
            algorithms=["RS256"],
            # The service's own clock judges, below.
            options={"verify_exp": False, "verify_iat": False, "require": ["iat", "exp", "iss"]},
        )
    except jwt.InvalidTokenError as error:
        raise Refusal(401, "A JSON web token could not be decoded") from error
    now = hub.seconds()
    if str(claims["iss"]) != str(app.id):
        raise Refusal(401, "'Issuer' claim ('iss') must be an Integer")
    if claims["iat"] > now + 5:
        raise Refusal(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the "
            "assertion was issued",
        )
    if claims["exp"] <= now:
        raise Refusal(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future "
            "time at which the assertion expires",
        )
    if claims["exp"] > now + 600 + 5:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    return Token(app.bot)


@dataclass
class _Window:
    ends: float
    used: int = 0


@dataclass
class Limits:
    """Both limits, really counted. `content` is the secondary one: writes a minute, off unless set.

    GitHub's own numbers: 5,000 requests an hour (60 without a token), 80 writes a minute.
    """

    primary: int = 5000
    anonymous: int = 60
    window: float = 3600.0
    content: int | None = None
    content_window: float = 60.0
    _windows: dict[str, _Window] = field(default_factory=dict)
    _trips: list[tuple[int, float]] = field(default_factory=list)

    def trip(self, times: int = 1, retry_after: float = 1, status: int = 403) -> None:
        """Answer the next requests with the secondary limit."""
        self._trips += [(status, retry_after)] * times

    def before(self, key: str, now: float, writes: bool, free: bool) -> None:
        """Refuse a request over a limit."""
        message = "You have exceeded a secondary rate limit. Please wait a few minutes."
        if self._trips:
            status, wait = self._trips.pop(0)
            raise Refusal(status, message, headers={"Retry-After": f"{wait:g}"})
        if self.content is not None and writes:
            window = self._window(key + " writes", now, self.content_window)
            if window.used >= self.content:
                wait = max(1, round(window.ends - now))
                raise Refusal(403, message, headers={"Retry-After": str(wait)})
            window.used += 1
        if not free and self.left(key, now) <= 0:
            raise Refusal(403, f"API rate limit exceeded for {key}.")

    def count(self, key: str, now: float) -> None:
        self._window(key, now, self.window).used += 1

    def limit(self, key: str) -> int:
        return self.anonymous if key == "anonymous" else self.primary

    def left(self, key: str, now: float) -> int:
        return max(0, self.limit(key) - self._window(key, now, self.window).used)

    def state(self, key: str, now: float) -> dict[str, int]:
        window = self._window(key, now, self.window)
        left = self.left(key, now)
        return {
            "limit": self.limit(key),
            "remaining": left,
            "reset": round(window.ends),
            "used": window.used,
        }

    def headers(self, key: str, now: float) -> dict[str, str]:
        state = self.state(key, now)
        return {f"x-ratelimit-{name}": str(value) for name, value in state.items()} | {
            "x-ratelimit-resource": "core"
        }

    def _window(self, key: str, now: float, length: float) -> _Window:
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = self._windows[key] = _Window(now + length)
        return window


@dataclass
class Fault:
    """What goes wrong with the next `times` calls of an operation ("*" for any).

    `status` answers instead of the API; `delay` waits (seconds) first; `half` cuts the body in two,
    `drop` closes the connection without an answer. With `applied` the API did its work before the
    answer was lost.
    """

    operation: str
    times: int = 1
    status: int | None = None
    delay: float = 0.0
    half: bool = False
    drop: bool = False
    applied: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Faults:
    def __init__(self) -> None:
        self._owed: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._owed.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._owed.clear()

    def next(self, operation: str) -> Fault | None:
        """The fault that this call meets, if any; each is met as often as it says."""
        with self._lock:
            for fault in self._owed:
                if fault.operation in ("*", operation) and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
