"""A queue at which S3 tells of objects, on moto's server."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.buckets.catalog import Catalog
from controller.machine.core import Key
from controller.sources.sqs import QueueSource, SqsQueue
from specs.failures import Failure, NeedsHuman, TryAgain
from tests.contracts.source import hint
from tests.servers.moto import Moto, s3_event

pytestmark = pytest.mark.usefixtures("aws")

FLIGHTS = Key("pipeline", "flights")


class Listener:
    """A source at a queue, and what it said."""

    def __init__(self, url: str, *, wait: int = 1) -> None:
        self.queue = SqsQueue(url, wait=wait)
        self.hints: list[str] = []
        self.ends: list[Failure | None] = []
        self.waits: list[float] = []
        self.source = QueueSource(
            self.queue, self.hints.append, self._pipelines_of, self._told, sleep=self._sleep
        )

    def _pipelines_of(self, uri: str) -> Sequence[Key]:
        return [FLIGHTS] if uri.startswith("s3://lake/flights/") else []

    async def _told(self, failure: Failure | None) -> None:
        self.ends.append(failure)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.01)


def problem(listener: Listener) -> str | None:
    """What it says now."""
    return listener.source.problem


async def drained(queue: SqsQueue, keys: AsyncIterator[Key]) -> None:
    """Listen on, until the queue holds nothing."""
    listening = asyncio.ensure_future(_exhaust(keys))
    async with asyncio.timeout(30):
        while await asyncio.to_thread(_held, queue):  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.05)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def _exhaust(keys: AsyncIterator[Key]) -> None:
    async for _ in keys:
        pass


def _held(queue: SqsQueue) -> int:
    """Messages that wait, and those that were taken and not deleted."""
    moto_client = SqsQueue(queue.url)
    said = moto_client._call(
        "get_queue_attributes",
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(map(int, said["Attributes"].values()))


def send(moto: Moto, url: str, *bodies: str) -> None:
    for body in bodies:
        moto.client("sqs").send_message(QueueUrl=url, MessageBody=body)


async def test_what_s3_itself_sends_hints_at_the_object_and_wakes_its_pipeline(moto: Moto) -> None:
    bucket = moto.bucket()
    listener = Listener(moto.queue(bucket))
    listener.source._pipelines_of = lambda _uri: [FLIGHTS]
    keys = listener.source.keys()
    moto.client("s3").put_object(Bucket=bucket, Key="a dir/x+y é.csv", Body=b"1")
    assert await hint(keys) == FLIGHTS
    assert listener.hints == [f"s3://{bucket}/a dir/x+y é.csv"]
    await drained(listener.queue, keys)


async def test_an_object_of_nobody_is_hinted_at_and_wakes_nobody(moto: Moto) -> None:
    listener = Listener(url := moto.queue())
    send(moto, url, s3_event("lake", "weather/1.csv"), s3_event("lake", "flights/1.csv"))
    keys = listener.source.keys()
    assert await hint(keys) == FLIGHTS
    await drained(listener.queue, keys)
    assert sorted(listener.hints) == ["s3://lake/flights/1.csv", "s3://lake/weather/1.csv"]


async def test_what_is_no_event_is_told_of_once_and_deleted(moto: Moto) -> None:
    listener = Listener(url := moto.queue())
    send(moto, url, "hello", '{"no": "event"}', s3_event("lake", "flights/1.csv"), "again")
    with capture_logs() as logs:
        keys = listener.source.keys()
        assert await hint(keys) == FLIGHTS
        await drained(listener.queue, keys)
    told = [each for each in logs if "not event notifications" in each["event"]]
    assert len(told) == 1
    assert told[0]["queue"] == url
    assert listener.source.problem is None


async def test_a_message_that_was_not_handed_on_comes_again(moto: Moto) -> None:
    listener = Listener(url := moto.queue())
    moto.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    send(moto, url, s3_event("lake", "flights/1.csv"))
    keys = listener.source.keys()
    assert await hint(keys) == FLIGHTS
    close = getattr(keys, "aclose", None)
    assert close is not None
    await close()  # the controller ends before it goes on
    again = Listener(url)
    assert await hint(again.source.keys()) == FLIGHTS


async def test_a_queue_that_is_away_is_named_left_alone_longer_and_longer_and_found_again(
    own_moto: Moto,
) -> None:
    listener = Listener(url := own_moto.queue())
    own_moto.stop()
    keys = listener.source.keys()
    listening = asyncio.ensure_future(anext(keys))
    async with asyncio.timeout(60):
        while len(listener.waits) < 3:  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
    assert problem(listener) == f"the queue {url} is unreachable; it is tried again"
    assert all(isinstance(end, TryAgain) for end in listener.ends)
    assert listener.waits[:3] == [2.0, 4.0, 8.0]
    own_moto.start()
    send(own_moto, url, s3_event("lake", "flights/1.csv"))
    async with asyncio.timeout(60):
        assert await listening == FLIGHTS
    assert problem(listener) is None
    assert listener.ends[-1] is None


async def test_a_queue_that_is_not_there_needs_a_human(moto: Moto) -> None:
    queue = SqsQueue(f"{moto.url}/123456789012/no-such-queue", wait=0)
    with pytest.raises(NeedsHuman, match=r"there is no queue .*/no-such-queue: create it"):
        queue.receive()


async def test_credentials_that_are_not_there_need_a_human(
    moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = SqsQueue(moto.queue(), wait=0)
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this")
    with pytest.raises(NeedsHuman, match=r"nobody-has-this.* Correct the address .* credentials"):
        queue.receive()
    monkeypatch.delenv("AWS_PROFILE")
    assert queue.receive() == [], "and are found when they are"


_WITHOUT_BOTO3 = """
import sys
sys.modules["boto3"] = sys.modules["botocore"] = sys.modules["botocore.exceptions"] = None
from controller.sources.sqs import SqsQueue
from specs.failures import NeedsHuman
try:
    SqsQueue("https://sqs.eu-west-1.amazonaws.com/1/q").receive()
except NeedsHuman as failure:
    print(failure)
"""


def test_without_boto3_it_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_BOTO3],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert "boto3 is not installed" in done.stdout
    assert "extra `aws`" in done.stdout


@pytest.mark.parametrize(
    ("url", "given", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", None, "eu-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", None, "cn-north-1"),
        ("https://vpce-1.sqs.us-west-2.vpce.amazonaws.com/1/q", None, "us-west-2"),
        ("http://127.0.0.1:4566/1/q", None, "us-east-1"),
        ("http://127.0.0.1:4566/1/q", "eu-north-1", "eu-north-1"),
    ],
)
def test_the_region_is_what_the_settings_or_the_address_say(
    url: str, given: str | None, region: str
) -> None:
    client = SqsQueue(url, given)._opened()
    assert client.meta.region_name == region
    assert url.startswith(client.meta.endpoint_url)


async def test_nobody_waits_for_a_question_that_the_queue_holds(moto: Moto) -> None:
    listener = Listener(moto.queue(), wait=3)
    listening = asyncio.ensure_future(anext(listener.source.keys()))
    async with asyncio.timeout(30):
        while not _asking():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    asking = _asking()
    assert all(thread.daemon for thread in asking)
    for thread in asking:
        await asyncio.to_thread(thread.join, 30)


def _asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sqs"]


async def test_an_object_whose_key_is_no_path_wakes_its_pipeline_and_is_not_heard_of_again(
    moto: Moto, tmp_path: Path
) -> None:
    listener = Listener(url := moto.queue())
    catalog = Catalog(tmp_path)
    listener.source._hint = catalog.hint
    send(moto, url, s3_event("lake", "flights/../a//b"))
    keys = listener.source.keys()
    assert await hint(keys) == FLIGHTS
    await drained(listener.queue, keys)
    assert problem(listener) is None
