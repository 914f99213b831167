"""The contract, over every source."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.git import Mirror
from controller.machine.core import Envelope, Key
from controller.sources.crontab import Crontab
from controller.sources.polling import Polling
from controller.sources.schedule import ScheduleSource
from controller.sources.sqs import QueueSource, SqsQueue
from specs.failures import Failure, TryAgain
from tests.contracts.source import Scene, SourceContract
from tests.controller.git.git_server import Person
from tests.controller.sources.looking import watching
from tests.servers.moto import Moto, s3_event


class GitScene:
    def __init__(self, folder: Path) -> None:
        self._ada, self._away = Person(folder / "ada"), folder / "away"
        self.key = Key("repository", "flights")
        mirror = Mirror(str(self._ada.remote), folder / "mirror.git")
        self.source = Polling("flights", mirror.heads, 0.05)

    async def change(self) -> None:
        await asyncio.to_thread(self._ada.push, {"a": "1"})

    async def break_down(self) -> None:
        self._ada.remote.rename(self._away)

    async def restore(self) -> None:
        self._away.rename(self._ada.remote)


class BucketScene:
    def __init__(self, folder: Path) -> None:
        self._lake, self._count = folder / "lake", 0
        self._lake.mkdir()
        self.key = Key("pipeline", "fares")
        self.source = watching(self._lake, folder / "home", fallback_interval=0.05)

    async def change(self) -> None:
        self._count += 1
        (self._lake / f"{self._count}.parquet").write_text("x")

    async def break_down(self) -> None:
        shutil.rmtree(self._lake)

    async def restore(self) -> None:
        self._lake.mkdir()


class ScheduleScene:
    """The clock is the scene's: every change is a minute later, which is due at once."""

    def __init__(self) -> None:
        self._now, self._fails = datetime(2026, 3, 1, tzinfo=UTC), False
        self.key = Key("pipeline", "flight-delay")
        self.source = ScheduleSource(self._send, clock=lambda: self._now, wake_every=0.05)
        self.source.follow("flight-delay", Crontab("* * * * *"))

    async def _send(self, envelope: Envelope) -> None:
        assert envelope.to == self.key
        if self._fails:
            raise TryAgain("the database is locked")

    async def change(self) -> None:
        self._now += timedelta(minutes=1)

    async def break_down(self) -> None:
        self._fails = True
        await self.change()

    async def restore(self) -> None:
        self._fails = False


class QueueScene:
    """A queue on moto's server, at which S3 tells of a dataset of the pipeline."""

    def __init__(self, moto: Moto) -> None:
        self._moto, self._url = moto, moto.queue()
        self.key = Key("pipeline", "flight-delay")
        self.source = QueueSource(
            SqsQueue(self._url, wait=1),
            hint=lambda _uri: None,
            pipelines_of=lambda _uri: [self.key],
            told=self._told,
            sleep=lambda _seconds: asyncio.sleep(0.05),
        )

    async def _told(self, failure: Failure | None) -> None:
        assert (failure and str(failure)) == self.source.problem

    async def change(self) -> None:
        body = s3_event("lake", "flights/1.parquet")
        send = self._moto.client("sqs").send_message
        await asyncio.to_thread(send, QueueUrl=self._url, MessageBody=body)

    async def break_down(self) -> None:
        await asyncio.to_thread(self._moto.client("sqs").delete_queue, QueueUrl=self._url)

    async def restore(self) -> None:
        name = self._url.rpartition("/")[2]
        await asyncio.to_thread(self._moto.client("sqs").create_queue, QueueName=name)


@pytest.fixture(params=["git", "bucket", "schedule", "queue"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    if request.param == "git":
        return GitScene(tmp_path)
    if request.param == "queue":
        request.getfixturevalue("aws")
        return QueueScene(request.getfixturevalue("moto"))
    return BucketScene(tmp_path) if request.param == "bucket" else ScheduleScene()


class TestSources(SourceContract):
    """Runs the whole contract."""
