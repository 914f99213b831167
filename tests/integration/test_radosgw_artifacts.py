"""Artifacts on Ceph's S3, in buckets that keep versions and in plain ones: every story again.

In a bucket with versions Ceph accepts a create-only write of what is there already.
"""

import asyncio
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controller.artifacts.opening import open_artifacts
from tests.controller.artifacts.test_remote import *  # noqa: F403 - every story
from tests.controller.artifacts.test_remote import There
from tests.servers.radosgw import Radosgw

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("aws")]  # type: ignore[assignment]  # see the star


@pytest.fixture(params=[False, True], ids=["plain", "versioned"])
def moto(radosgw: Radosgw, request: pytest.FixtureRequest) -> Any:
    """Radosgw, whose buckets are of one of the kinds."""
    bucket = partial(radosgw.bucket, versioned=request.param)
    return SimpleNamespace(url=radosgw.url, client=radosgw.client, bucket=bucket)


async def test_of_those_who_begin_at_once_one_owns_the_prefix(  # type: ignore[no-redef]  # another one
    there: There, tmp_path: Path
) -> None:
    """Where several could write before they saw each other, one may delete."""
    stores = [open_artifacts(there.settings, tmp_path / f"home-{n}", f"{n}") for n in range(6)]
    puts = (each.put_bytes(b"%d" % n) for n, each in enumerate(stores))
    ends = await asyncio.gather(*puts, return_exceptions=True)
    wrote = {end.digest for end in ends if not isinstance(end, BaseException)}
    sweeps = [
        await asyncio.gather(each.sweep((), time.time() - 60), return_exceptions=True)
        for each in stores
    ]
    assert wrote
    assert there.names() == wrote
    assert sum(isinstance(end, int) for (end,) in sweeps) == 1
