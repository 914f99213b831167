"""Asks a Prometheus server for samples of counters, over its HTTP API."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import httpx

from deployers.counting.series import Series
from specs.failures import TryAgain
from specs.figures import clip

TIMEOUT: Final = 10.0
"""Seconds for one answer."""
MOST_BYTES: Final = 32 << 20
"""The largest answer that is read."""
_QUOTED: Final = 300
"""Characters of an error that are quoted."""


@dataclass(frozen=True)
class PrometheusServer:
    """Where a Prometheus server is, as the platform team set it; specs only know its name."""

    url: str
    token: str | None = None
    """The name of the secret with its bearer token."""


NO_SERVERS: Final[Mapping[str, PrometheusServer]] = MappingProxyType({})


class PrometheusClient:
    """Asks one server. All failures are TryAgain and name the server and the query."""

    def __init__(
        self, name: str, server: PrometheusServer, reveal: Callable[[tuple[str, ...]], Any]
    ) -> None:
        self._name = name
        self._server = server
        self._reveal = reveal

    async def now(self) -> float:
        """The server's time, in seconds since the epoch: samples are stamped with it."""
        found = await self._ask({"query": "time()"})
        try:
            return float(found["result"][1])
        except (KeyError, IndexError, TypeError, ValueError):
            raise self._failed("time()", "its answer is no time", human=True) from None

    async def samples(self, selector: str, seconds: int, at: float) -> list[Series]:
        """The samples of all counters that the selector matches, in that many seconds until `at`.

        A range of raw samples and no `increase()`: that extrapolates to the ends of the range,
        so it gives fractions of requests.
        """
        query = f"{selector}[{seconds}s]"
        found = await self._ask({"query": query, "time": f"{at:.3f}"})
        try:
            return [_series(one) for one in found["result"]]
        except (KeyError, IndexError, TypeError, ValueError):
            raise self._failed(query, "its answer has no samples", human=True) from None

    def empty(self, selector: str, seconds: int) -> TryAgain:
        """The failure to raise where no counter matches."""
        return self._failed(f"{selector}[{seconds}s]", "no counter matches", human=True)

    async def _ask(self, form: dict[str, str]) -> dict[str, Any]:
        query = form["query"]
        headers = {}
        if self._server.token is not None:
            token = self._reveal((self._server.token,))[self._server.token]
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self._server.url.rstrip('/')}/api/v1/query"
        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT) as client,
                client.stream("POST", url, data=form, headers=headers) as answer,
            ):
                body = await _read(answer)
        except httpx.HTTPError as error:
            raise self._failed(query, str(error) or type(error).__name__) from None
        if body is None:
            why = f"the answer is larger than {MOST_BYTES >> 20} MiB; name fewer series by `where`"
            raise self._failed(query, why, human=True)
        status = answer.status_code
        if status in (401, 403):
            why = f"it answers {status}: set `token` of the server in the settings"
            raise self._failed(query, why, human=True)
        try:
            told = json.loads(body)
            if told["status"] == "success":
                return dict(told["data"])
            said = str(told.get("error", ""))
        except (KeyError, TypeError, ValueError):
            said = ""
        why = f"it answers {status}{f': {clip(said, _QUOTED)}' if said else ''}"
        raise self._failed(query, why, human=400 <= status < 500)

    def _failed(self, query: str, why: str, *, human: bool = False) -> TryAgain:
        return TryAgain(
            f"the Prometheus server `{self._name}` was asked for {query}: {why}", human=human
        )


async def _read(answer: httpx.Response) -> bytes | None:
    """The body, or None if it is too large."""
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > MOST_BYTES:
            return None
    return bytes(found)


def _series(one: dict[str, Any]) -> Series:
    labels = {str(name): str(value) for name, value in one["metric"].items()}
    samples = [(round(float(at) * 1000), float(value)) for at, value in one["values"]]
    # A counter that is no finite number says nothing; NaN is unequal to itself.
    return Series(labels, [(at, value) for at, value in samples if 0 <= value < 1e15])
