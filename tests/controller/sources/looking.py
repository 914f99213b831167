"""Looks at datasets on this machine as the controller does, with a clock that is a minute ahead, so
that every file counts as complete."""

import time
from pathlib import Path

from controller.buckets.catalog import Catalog
from controller.observers.datasets import DatasetObserver
from controller.queries.polling import QueryVersions
from controller.sources.bucket import DatasetSource, Look, WatchedDataset


def looks(home: Path) -> Look:
    """A look at a dataset; `home` is for what it remembers."""
    catalog = Catalog(home, wall=lambda: time.time() + 60)
    return DatasetObserver(catalog, QueryVersions(str)).look


def lake(folder: Path) -> WatchedDataset:
    """The dataset of all that is in a folder."""
    return WatchedDataset(str(folder), folder=folder)


def watching(
    folder: Path, home: Path, *, debounce: float = 0.01, fallback_interval: float = 5.0
) -> DatasetSource:
    """A source that watches a folder for the pipeline `fares`, and looks every hour."""
    source = DatasetSource(
        looks(home), 3600.0, debounce=debounce, fallback_interval=fallback_interval
    )
    source.follow("fares", [lake(folder)])
    return source
