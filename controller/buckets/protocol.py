"""The contract of every bucket: list what is there, and pin exactly what was listed."""

from typing import NamedTuple

from specs.digests import Manifest
from specs.failures import TryAgain


class Changed(TryAgain):
    """An object is not any more what was listed. List again."""


class Listing(NamedTuple):
    """A dataset as it was found."""

    manifest: Manifest
    unsettled: tuple[str, ...]
    """Objects that are being written; the manifest is without them."""
    latest: float | None
    """When an object was last written or put there, in seconds since the epoch; None: no objects.

    A deletion does not show here, only in the manifest's digest.
    """
    marked: bool | None
    """Whether the marker is there; None: no marker was asked for."""
