"""Stores the outputs of a step that succeeded."""

import os
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path

from controller.artifacts import Artifact
from specs.failures import NeedsHuman


def store_outputs(
    node: str, outputs: Mapping[str, str], folder: Path, put: Callable[[Path], Artifact]
) -> dict[str, str]:
    """Store the files of the attempt in `folder` by `put`; digests by output name. Blocking.
    Raises `NeedsHuman` for an output that is not there, or is not a file or folder itself."""
    found = {}
    for name, file in outputs.items():
        path = folder / "outputs" / file
        if _is_behind_link(f"{folder}", f"outputs/{file}"):
            raise NeedsHuman(
                f"the output {name} of {node} is, or is below, a symbolic link: write a "
                f"file or a folder to {{outputs.{name}}}"
            )
        try:
            found[name] = put(path).digest
        except FileNotFoundError:
            raise NeedsHuman(
                f"{node} succeeded but did not write its output {name}: write it to "
                f"{{outputs.{name}}}, or remove it from `outputs`"
            ) from None
    return found


def _is_behind_link(folder: str, path: str) -> bool:
    """Whether a path in `folder` is a symbolic link, or leads through one that is in there."""
    parts = accumulate(path.split("/"), "{}/{}".format)
    return any(os.path.islink(f"{folder}/{part}") for part in parts)  # noqa: PTH114 - text, for speed
