"""How a git source waits."""

from pathlib import Path

from controller.git import Mirror
from controller.sources.polling import Polling
from tests.controller.git.git_server import Person


async def test_a_remote_that_fails_is_left_alone_for_longer_each_time(tmp_path: Path) -> None:
    waits: list[float] = []
    ada = Person(tmp_path / "ada")
    ada.remote.rename(tmp_path / "away")

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            (tmp_path / "away").rename(ada.remote)

    mirror = Mirror(str(ada.remote), tmp_path / "mirror.git")
    source = Polling("flights", mirror.heads, 30.0, sleep=sleep, jitter=lambda: 0.5)
    keys = source.keys()
    assert str(await anext(keys)) == "repository/flights"
    assert not waits, "its own look fails at once, which is what people are told of"
    assert source.problem is not None
    assert str(await anext(keys)) == "repository/flights"
    assert waits == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    assert source.problem is None
