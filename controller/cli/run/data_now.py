"""Looks whether the data of the last `headgate run` is still the same."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from controller.buckets.catalog import DATASETS, Catalog
from controller.buckets.roots import Roots
from controller.buckets.stores import Stores
from controller.cli.context import find_settings, read_settings
from controller.cli.run.last_result import Data
from controller.config.settings import ObjectStore
from controller.wiring.home_lock import RUN, only_one
from specs.failures import Failure


def stores() -> Sequence[ObjectStore]:
    """The object stores of the settings, if there are any."""
    path = find_settings(click.get_current_context().find_root().obj)
    settings = read_settings(path).settings if path is not None else None
    return settings.stores if settings else ()


def is_same(data: Sequence[Data], home: Path) -> bool:
    """Whether each dataset is complete and has the version that it had then. If that cannot be
    known, the run itself says why."""
    try:
        with only_one(home, RUN):
            return asyncio.run(_is_same(data, home))
    except (Failure, click.ClickException):
        return False


async def _is_same(data: Sequence[Data], home: Path) -> bool:
    catalog = Catalog(home / DATASETS, Stores(stores()), roots=Roots(sealed=(home,)))
    for uri, marker, version in data:
        listing = await catalog.list(uri, marker=marker)
        if listing.unsettled or listing.marked is False or listing.manifest.digest != version:
            return False
    return True
