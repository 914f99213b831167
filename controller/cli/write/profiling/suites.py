"""Suites for the datasets of a drafted spec, as far as their data is at hand."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from controller.buckets.places import base_folder, place_of
from controller.buckets.stores import is_remote
from controller.cli.write.drafts.values import Data, Draft, Folder
from controller.cli.write.profiling.data import objects_at
from controller.cli.write.profiling.process import propose_apart
from controller.planning.checkout import top_of
from specs.failures import Failure
from specs.figures import clip
from validators.data.profile.request import ProfileRequest, SuiteProposal

_MOST_BYTES: Final = 100_000_000
"""Data that is read for a draft; more would keep its author waiting."""
_BESIDE: Final = "file://./"
"""How a draft names files that git ignores."""


def with_suites(found: Draft, folder: Path, there: Folder) -> tuple[Draft, Mapping[str, str]]:
    """The draft with the suites that it lacks, and their texts by their paths in the folder."""
    data = dict(found.data)
    texts: dict[str, str] = {}
    for name, one in found.data.items():
        path = f"expectations/{name}.yaml"
        if one.uri is None or one.expectations is not None or path in there.known:
            continue
        made = _proposed(name, one, folder)
        if made is not None and made.text is not None:
            texts[path] = made.text
            data[name] = replace(one, expectations=path, is_proposed=True)
    return replace(found, data=data), texts


def _proposed(name: str, data: Data, folder: Path) -> SuiteProposal | None:
    """A suite for a dataset; None, and why is said, if its data is not at hand."""
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-profile-") as scratch:
            home = Path(scratch)
            uri, root = _address(data.uri or "", folder)
            if is_remote(uri) or _size(uri, root) > _MOST_BYTES:
                return None
            request = ProfileRequest(dataset=name, objects=objects_at(uri, root, home))
            made = propose_apart(request, home)
    except (Failure, click.ClickException) as failure:
        _say(name, str(failure))
        return None
    if made.text is None:
        _say(name, "; ".join(made.problems))
    return made


def _address(uri: str, folder: Path) -> tuple[str, Path]:
    """The address, and the folder that it is relative to."""
    own = folder.resolve()
    if uri.startswith(_BESIDE):
        return f"{own}/{uri.removeprefix(_BESIDE)}", own
    top = top_of(folder) or own
    return uri, base_folder(uri, top, own.relative_to(top).as_posix())


def _size(uri: str, root: Path) -> int:
    """The bytes of all files that may belong to a dataset of this machine."""
    below = place_of(uri, root).folder.rglob("*")
    return sum(path.stat().st_size for path in below if path.is_file())


def _say(name: str, why: str) -> None:
    click.echo(f"Note: no suite is proposed for {name}: {clip(why, 200)}", err=True)
