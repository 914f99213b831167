"""Finds the data that somebody named on the command line, as files of this machine."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from controller.buckets.catalog import DATASETS, Catalog
from controller.buckets.places import base_folder, is_relative
from controller.buckets.stores import Stores, is_remote
from controller.cli.context import find_settings, read_settings
from controller.cli.revealing import revealer
from controller.cli.write.profiling.process import fetch_apart
from controller.planning.checkout import check_at, tracked_from
from controller.planning.choosing import choose, spec_argument, specs_in
from specs.failures import NeedsHuman
from specs.loading.explain import nearest
from specs.loading.load import LoadedSpec
from specs.model import Dataset
from validators.data.profile.request import ProfileRequest
from validators.data.reading.objects import DatasetReading, ObjectFile

_COMMAND: Final = "headgate profile"


class DataToProfile(NamedTuple):
    """What a suite is proposed for."""

    request: ProfileRequest
    spec: Path | None = None
    """The spec that it is a dataset of."""
    lacks_suite: bool = False
    """Whether the spec names no suite for it yet."""


class _Spec(NamedTuple):
    """A spec in a work tree."""

    path: Path
    loaded: LoadedSpec
    top: Path
    folder: str
    """Its folder below `top`."""

    @property
    def datasets(self) -> dict[str, Dataset]:
        return dict(self.loaded.sketch.datasets) if self.loaded.sketch else {}


def data_named(
    named: Sequence[str], folder: Path, spec_file: str | None, home: Path
) -> DataToProfile:
    """The data; what has to be fetched is kept in `home`. Raises `NeedsHuman` if there is none."""
    if len(named) == 1 and "://" in named[0]:
        return DataToProfile(_at_address(named[0], home))
    if len(named) == 1 and os.sep not in named[0]:
        spec = _spec_in(folder, spec_file, required=not Path(named[0]).exists())
        if spec is not None and (named[0] in spec.datasets or not Path(named[0]).exists()):
            return _of_spec(spec, named[0], home)
    if not named:
        spec = _spec_in(folder, spec_file, required=True)
        assert spec is not None
        return _of_spec(spec, _only(spec), home)
    for one in named:
        if not Path(one).exists():
            raise NeedsHuman(f"there is no file {one}")
    if len(named) == 1 and Path(named[0]).is_dir():
        return DataToProfile(_at_address(Path(named[0]).resolve().as_uri(), home))
    return DataToProfile(_of_files([Path(one) for one in named]))


def _spec_in(folder: Path, spec_file: str | None, *, required: bool) -> _Spec | None:
    """The spec of the folder. Raises `NeedsHuman` if there is none and it is required."""
    names = specs_in(folder)
    if not required and not names:
        return None
    path = folder / choose(spec_argument(folder, spec_file, _COMMAND), names)
    source = tracked_from(folder)
    top = Path(source.repository)
    loaded = check_at(path.read_bytes(), str(path), source, top=top)
    return _Spec(path, loaded, top, source.folder)


def _only(spec: _Spec) -> str:
    names = list(spec.datasets)
    if len(names) == 1:
        return names[0]
    if not names:
        raise NeedsHuman(f"{spec.path} has no datasets; name files instead")
    lines = "".join(f"\n  {_COMMAND} {name}" for name in names)
    raise NeedsHuman(f"{spec.path} has {len(names)} datasets; name one of them:{lines}")


def _of_spec(spec: _Spec, name: str, home: Path) -> DataToProfile:
    dataset = spec.datasets.get(name)
    if dataset is None:
        meant = nearest(name, spec.datasets)
        asked = f"; did you mean {meant}?" if meant else ""
        raise NeedsHuman(f"{spec.path} has no dataset {name}, and there is no such file{asked}")
    request = ProfileRequest(
        dataset=name,
        objects=_objects_of(spec, name, dataset, home),
        reading=DatasetReading(types=dataset.types, nulls=dataset.nulls, csv=dataset.csv),
        is_queried=dataset.query is not None,
    )
    return DataToProfile(request, spec.path, dataset.expectations is None)


def _objects_of(spec: _Spec, name: str, dataset: Dataset, home: Path) -> tuple[ObjectFile, ...]:
    if dataset.query is not None:
        address = revealer(click.get_current_context())(dataset.query.secret)
        rows = fetch_apart(name, dataset.query, address, home)
        return (_object(rows.parent, rows.name),)
    if dataset.uri is None:
        raise NeedsHuman(
            f"{name} is what {dataset.address} fetches, which only a run does: fetch it yourself "
            f"and name the files, as in `{_COMMAND} {name}.parquet`"
        )
    root = base_folder(dataset.uri, spec.top, spec.folder) if is_relative(dataset.uri) else None
    return objects_at(dataset.uri, root, home)


def _at_address(uri: str, home: Path) -> ProfileRequest:
    fixed = uri.partition("*")[0].rstrip("/")
    name = fixed.rpartition("/")[2] or "data"
    return ProfileRequest(dataset=name, objects=objects_at(uri, None, home))


def objects_at(uri: str, repository: Path | None, home: Path) -> tuple[ObjectFile, ...]:
    """The objects of a dataset as they are now. Files of this machine stay where they are, unless
    they are of a table, whose log says which of them are live, or in the repository.

    `repository` is the folder that a path in the repository is relative to; what has to be fetched
    is kept in `home`. Raises `NeedsHuman` if there are none.
    """
    return asyncio.run(_listed_objects(uri, repository, home))


async def _listed_objects(uri: str, repository: Path | None, home: Path) -> tuple[ObjectFile, ...]:
    # Files that change meanwhile are read as they are: nothing is released by a proposal.
    catalog = Catalog(home / DATASETS, _stores(), wall=lambda: 0.0)
    digest = (await catalog.list(uri, repository=repository)).manifest.digest
    found = None if is_remote(uri) else await catalog.addresses(uri, digest)
    if found is None or found.folder is None or found.table is not None:
        pinned, manifest = await catalog.pinned(uri, digest)
        objects = tuple(_object(pinned, entry.key) for entry in manifest)
    else:
        objects = tuple(_object(found.folder, entry.key) for entry, _ in found.objects)
    if not objects:
        raise NeedsHuman(f"there is no object at {uri}")
    return objects


def _object(folder: Path, key: str) -> ObjectFile:
    return ObjectFile(key=key, path=str(folder / key))


def _stores() -> Stores:
    """How object stores are reached, by the settings if there are any."""
    path = find_settings(click.get_current_context().find_root().obj)
    settings = read_settings(path).settings if path is not None else None
    return Stores(settings.stores if settings else ())


def _of_files(files: Sequence[Path]) -> ProfileRequest:
    """Files, by their names below the folder that they have in common."""
    every = [file.resolve() for file in _listed(files)]
    above = Path(os.path.commonpath([file.parent for file in every]))
    objects = tuple(
        ObjectFile(key=file.relative_to(above).as_posix(), path=str(file)) for file in every
    )
    name = files[0].name.partition(".")[0] if len(every) == 1 else above.name
    return ProfileRequest(dataset=name or "data", objects=objects)


def _listed(files: Sequence[Path]) -> Iterator[Path]:
    """The files, and those below the folders among them."""
    for file in files:
        if file.is_dir():
            yield from sorted(one for one in file.rglob("*") if one.is_file())
        else:
            yield file
