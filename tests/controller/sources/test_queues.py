"""A queue that Headgate cannot listen to is reported like any stall."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.config.settings import ObjectStore
from controller.machine.core import Envelope, Key
from controller.reconcile.outbox import RuntimePolicy
from controller.sources.bucket import WatchedDataset
from controller.sources.queues import Queues
from controller.sources.sqs import SqsQueue, queues_of
from controller.sources.watch import Watcher, WatchRequest
from controller.store.protocol import Transaction
from controller.store.sqlite import SqliteStore
from tests.servers.moto import Moto, s3_event

pytestmark = pytest.mark.usefixtures("aws")

AT_ONCE = RuntimePolicy(bears=0.0)


class Around:
    """A store, a watch, and the queues of a controller that runs."""

    def __init__(self, store: SqliteStore, url: str) -> None:
        self.store = store
        self.woken: list[Key] = []
        self.hints: list[str] = []
        self.watch = Watcher(self.send, self.look, 3600.0, AT_ONCE)
        self.queues = Queues(
            [SqsQueue(url, wait=1)], store, self.watch, self.hints.append, self.send, AT_ONCE
        )

    async def look(self, dataset: WatchedDataset) -> str:
        """Nothing changes but by events."""
        return dataset.uri

    async def send(self, envelope: Envelope) -> None:
        await self.store.commit(Transaction(send=(envelope,)), 0.0)

    async def told(self) -> Sequence[tuple[str, str]]:
        """Whom the messages are to, and what they are."""
        return [(str(each.to), each.type) for each in await self.store.inbox()]


def watch_of(uri: str) -> WatchRequest:
    return WatchRequest((WatchedDataset(uri),))


@asynccontextmanager
async def listening(folder: Path, url: str) -> AsyncIterator[Around]:
    store = await SqliteStore.open(folder / "state.db")
    around = Around(store, url)
    await around.queues.listen(around.woken.append)
    try:
        yield around
    finally:
        await around.watch.close()
        await store.close()


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await look():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.02)


async def test_a_queue_that_is_missing_is_told_of_once_and_its_end_too(
    moto: Moto, tmp_path: Path
) -> None:
    url = f"{moto.queue()}-later"
    name = url.rpartition("/")[2]
    stall = f"stall/queue/{name}"
    async with listening(tmp_path, url) as around:
        await until(lambda: _has(around, (stall, "stalled")))
        assert Key("stall", f"queue/{name}") in around.woken
        assert around.watch.problems == [
            f"there is no queue {url}: create it, or correct `stores.events`"
        ]
        moto.client("sqs").create_queue(QueueName=name)
        await until(lambda: _has(around, (stall, "recovered")))
        assert [kind for _, kind in await around.told()] == ["stalled", "recovered"]
        assert not around.watch.problems


async def _has(around: Around, message: tuple[str, str]) -> bool:
    return message in await around.told()


async def test_an_event_wakes_the_pipelines_whose_data_it_is_in(moto: Moto, tmp_path: Path) -> None:
    url = moto.queue()
    async with listening(tmp_path, url) as around:
        around.watch.follow("flights", watch_of("s3://lake/flights/*.parquet"), None)
        around.watch.follow("weather", watch_of("s3://lake/weather"), None)
        async with asyncio.timeout(60):
            both = {await around.watch.hint(), await around.watch.hint()}  # each once at the start
            assert len(both) == 2
            send = moto.client("sqs").send_message
            send(QueueUrl=url, MessageBody=s3_event("lake", "weather/2013.csv"))
            assert await around.watch.hint() == Key("pipeline", "weather")
        assert around.hints == ["s3://lake/weather/2013.csv"]


def test_a_queue_that_several_stores_name_is_listened_to_once() -> None:
    stores = [
        ObjectStore(uri="s3://lake/a", events="https://sqs.eu-west-1.amazonaws.com/1/q"),
        ObjectStore(uri="s3://lake/b", events="https://sqs.eu-west-1.amazonaws.com/1/q"),
        ObjectStore(uri="s3://other"),
    ]
    assert [queue.name for queue in queues_of(stores)] == ["q"]
