"""The stream of a log is cut anywhere and goes on: each byte once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.executors.kubernetes.pod_log import PodLog, StampedLines
from controller.executors.kubernetes.watching import lines_of
from deployers.kubernetes.cluster import Cluster, ClusterAccess
from tests.controller.executors.kubernetes.builders import pod

LINES = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=6)), max_size=8)


def stamped(lines: list[tuple[int, bytes]], since: int = 0) -> bytes:
    """What the API server sends of lines with the second of each, of those since one."""
    texts = [(second, text.replace(b"\n", b"")) for second, text in lines]
    return b"".join(
        b"2026-11-30T15:00:%02d.000000000Z %s\n" % (second, text)
        for second, text in texts
        if second >= since
    )


def in_order(lines: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return sorted(lines, key=lambda line: line[0])


@given(LINES, st.lists(st.integers(0, 400), max_size=4), st.integers(1, 50))
def test_wherever_the_connection_is_cut_each_byte_is_written_once(
    lines: list[tuple[int, bytes]], cuts: list[int], piece: int
) -> None:
    lines = in_order(lines)
    written: list[bytes] = []
    log = StampedLines(written.append)
    for cut in [*cuts, None]:
        since = int(log.last[17:19]) if log.last else 0
        log.resume()
        sent = stamped(lines, since)[:cut]
        for at in range(0, len(sent), piece):
            log.feed(sent[at : at + piece])
    expected = b"".join(text.replace(b"\n", b"") + b"\n" for _, text in lines)
    assert b"".join(written) == expected


def test_a_last_line_without_an_end_is_written_as_it_is() -> None:
    written: list[bytes] = []
    StampedLines(written.append).feed(b"2026-11-30T15:00:00.1Z no end")
    assert b"".join(written) == b"no end"


def test_a_node_may_write_times_in_a_zone_of_its_own() -> None:
    log = StampedLines(lambda _: None)
    log.feed(b"2026-11-30T17:00:00.123456789+02:00 a\n")
    assert log.since == "2026-11-30T15:00:00Z"


def test_what_the_kubelet_says_itself_is_written_too() -> None:
    written: list[bytes] = []
    StampedLines(written.append).feed(b"failed to watch file, so the log may be incomplete: x\n")
    assert b"".join(written).startswith(b"failed to watch file")


async def test_a_line_of_a_watch_ends_at_a_line_feed_and_nowhere_else() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b'{"a": "\xc2\x85 \xe2\x80\xa8"}', b'\n{"b"', b": 1}\n\n", b'{"cut'):
            yield part

    found = [line async for line in lines_of(chunks())]
    assert found == [b'{"a": "\xc2\x85 \xe2\x80\xa8"}', b'{"b": 1}']


class OneLog(Cluster):
    """A client of a cluster in which each log is this line."""

    @asynccontextmanager
    async def stream(
        self,
        path: str,  # noqa: ARG002 - any pod's
        query: Mapping[str, str],  # noqa: ARG002 - from any time on
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"2026-11-30T15:00:00.1Z epoch 1\n"

        yield chunks()


async def test_a_log_that_had_no_stream_is_read_once_its_step_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.executors.kubernetes.pod_log.PAUSE", 0.0)
    log = PodLog(OneLog(ClusterAccess(namespace="steps")), tmp_path)
    looks = iter([False, False, True])
    async with asyncio.timeout(30):
        await log.follow(
            dict(pod()), lambda: next(looks), asyncio.Semaphore(0)
        )  # others have them all
    log.close()
    assert (tmp_path / "log").read_text() == "epoch 1\n"
