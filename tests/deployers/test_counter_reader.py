"""Reading counters: what is told when Prometheus fails, and what a new controller knows."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deployers.counting import prometheus as client
from deployers.counting.prometheus import PrometheusServer
from deployers.counting.reader import LAG, PAGE, CounterReader
from deployers.place_folder import free_port
from deployers.protocol import Traffic
from specs.counters import BackendCounters
from specs.failures import NeedsHuman, TryAgain
from tests.servers.prometheus import Prometheus

PLACE = "mean/production"
NOW = 1_800_000_000.0
NAMES = BackendCounters(preset="envoy", where={"job": "edge"}).names()


class Hands:
    """A clock that is set."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def reader(
    home: Path, url: str, clock: Hands | None = None, token: str | None = None
) -> CounterReader:
    def reveal(names: tuple[str, ...]) -> dict[str, str]:
        if names != ("TOKEN",):
            raise NeedsHuman(f"the secret {names[0]} is not set")
        return {"TOKEN": "hush"}

    servers = {"default": PrometheusServer(url, token)}
    return CounterReader(home, servers, reveal, clock or Hands())


async def asked(ours: CounterReader, after: int | None = None, server: str = "default") -> Traffic:
    names = NAMES.model_copy(update={"server": server})
    epoch = None if after is None else "prometheus"
    return await ours.traffic(PLACE, epoch, after or 0, names=names, errors=("5xx",), split="draw")


class Answering:
    """A server that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.samples = 200, [(NOW - 40, "7"), (NOW - 20, "9")]
        self.body: bytes | None = None
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        form = (await reader.readexactly(size)).decode()
        self.asked.append((head, form))
        body = self.body or json.dumps({"status": "success", "data": self._data(form)}).encode()
        line = f"HTTP/1.1 {self.status} Told\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(line.encode() + body)
        await writer.drain()
        writer.close()

    def _data(self, form: str) -> Mapping[str, Any]:
        if form.startswith("query=time"):
            return {"resultType": "scalar", "result": [NOW, str(NOW)]}
        name = {"__name__": NAMES.requests, "instance": "a", "envoy_response_code": "200"}
        series = {"metric": {**name, "envoy_cluster_name": "v1"}, "values": self.samples}
        return {"resultType": "matrix", "result": [series]}


@asynccontextmanager
async def answering(other: Answering | None = None) -> AsyncIterator[Answering]:
    told = other or Answering()
    server = await asyncio.start_server(told.take, "127.0.0.1", 0)
    async with server:
        told.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield told


def begun(ours: CounterReader, clock: Hands) -> None:
    """It has served v1 for an hour, and was observed just now."""
    for clock.now in (NOW - 3600, NOW):
        ours.seen(PLACE, ("v1", None, 0.0))


@pytest.mark.prometheus
async def test_counters_that_are_not_there_are_told_with_the_query(
    tmp_path: Path, prometheus: Prometheus
) -> None:
    prometheus.run(prometheus.port)
    clock = Hands()
    ours = reader(tmp_path, prometheus.url, clock)
    for clock.now in (time.time() - 100, time.time()):
        ours.seen(PLACE, ("mean-v1", None, 0.0))
    with pytest.raises(TryAgain) as raised:
        await asked(ours)
    query = (
        '{__name__=~"envoy_cluster_upstream_rq|envoy_cluster_upstream_rq_time_bucket",'
        'envoy_cluster_name=~"mean-v1",job="edge"}['
    )
    assert str(raised.value).startswith(f"{PLACE}: the Prometheus server `default` was asked for ")
    assert query in str(raised.value)
    assert str(raised.value).endswith("s]: no counter matches")
    assert raised.value.human
    asking = client.PrometheusClient("x", PrometheusServer(prometheus.url), lambda _: {})
    with pytest.raises(TryAgain, match=r"it answers 400: .*parse error"):
        await asking.samples("{", 60, NOW)


async def test_a_server_that_is_away_is_asked_again(tmp_path: Path) -> None:
    ours = reader(tmp_path, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        TryAgain, match=r"`default` was asked for time\(\): All connection"
    ) as raised:
        await asked(ours)
    assert not raised.value.human


async def test_a_server_that_the_settings_do_not_name_is_never_asked(tmp_path: Path) -> None:
    ours = reader(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(
        TryAgain, match=r"`elsewhere`, which is not in .*\(there: default\)"
    ) as raised:
        await asked(ours, server="elsewhere")
    assert raised.value.human


async def test_the_token_goes_to_the_server_and_nowhere_else(tmp_path: Path) -> None:
    async with answering() as told:
        clock = Hands()
        ours = reader(tmp_path, told.url, clock, token="TOKEN")
        begun(ours, clock)
        await asked(ours)
        assert all("authorization: bearer hush" in head.lower() for head, _ in told.asked)
        told.status, told.body = 401, b"who are you"
        with pytest.raises(TryAgain, match="it answers 401: set `token`") as raised:
            await asked(ours)
        assert "hush" not in str(raised.value)
        with pytest.raises(TryAgain, match="the secret OTHER is not set"):
            await asked(reader(tmp_path, told.url, clock, token="OTHER"))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b"<html>", "it answers 503"),
        (200, b"[]", "it answers 200"),
        (200, b'{"status": "success", "data": {"result": 7}}', "its answer is no time"),
        (200, b" " * 5000, "the answer is larger than 0 MiB; name fewer series by `where`"),
    ],
)
async def test_what_is_no_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, words: str
) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 4000)
    async with answering() as told:
        told.status, told.body = status, body
        with pytest.raises(TryAgain) as raised:
            await asked(reader(tmp_path, told.url))
    assert words in str(raised.value)


async def test_pages_follow_each_other_and_a_lost_one_is_asked_for_again(tmp_path: Path) -> None:
    async with answering() as told:
        clock = Hands()
        ours = reader(tmp_path, told.url, clock)
        begun(ours, clock)
        pages = [await asked(ours)]
        while pages[-1].more:
            pages.append(await asked(ours, pages[-1].next))
        assert len(pages) == 3600 / PAGE
        assert pages[-1].next == round((NOW - LAG) * 1000)
        assert [one.stable.requests for page in pages for one in page.windows] == [2]
        assert await asked(ours, pages[-2].next) == pages[-1]
        assert (await asked(ours, pages[-1].next)).windows == ()
        assert (pages[0].now, pages[0].counted, pages[0].split) == (NOW, True, "draw")


async def test_eras_are_by_the_clock_of_prometheus(tmp_path: Path) -> None:
    async with answering() as told:
        clock = Hands()
        ours = reader(tmp_path, told.url, clock)
        # Ours is 100 s behind, so what was first seen at our NOW - 141 was at its NOW - 41.
        for clock.now in (NOW - 141, NOW - 100):
            ours.seen(PLACE, ("v1", None, 0.0))
        assert (await asked(ours)).windows == (), "the weight had not settled"
        told.samples = [(NOW - 25, "7"), (NOW - 20, "9")]
        assert [one.stable.requests for one in (await asked(ours)).windows] == [2]


async def test_a_new_controller_knows_the_weights_once_it_has_observed_them(tmp_path: Path) -> None:
    async with answering() as told:
        clock = Hands()
        begun(reader(tmp_path, told.url, clock), clock)
        ours = reader(tmp_path, told.url, clock)
        with pytest.raises(TryAgain, match="it is not known yet which servers have the traffic"):
            await asked(ours)
        ours.seen(PLACE, ("v1", None, 0.0))
        assert (await asked(ours)).next == round((NOW - 3600 + PAGE) * 1000)
        ours.changing(PLACE, (None, None, 0.0))
        ours.forget(PLACE)
        with pytest.raises(TryAgain, match="it is not known yet"):
            await asked(ours)
