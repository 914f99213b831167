"""Reads the records of requests from a router of this machine."""

from collections.abc import Mapping
from typing import Any

from deployers import control
from deployers.place_folder import Site
from deployers.protocol import Traffic
from deployers.records import PAGE
from specs.failures import TryAgain
from specs.traffic import Arm, Exchange, Waiting


async def page(site: Site, place: str, epoch: str | None, after: int) -> Traffic:
    """One page of the records after number `after`. Raises TryAgain without a router."""
    try:
        found = await control.ask(site.folder, "traffic", epoch=epoch, after=after)
    except OSError as error:
        raise TryAgain(f"the router of {place} does not answer", after=1.0) from error
    return traffic_of(found)


def traffic_of(found: Mapping[str, Any]) -> Traffic:
    """A router's answer as a page."""
    first = found["first"]
    exchanges = tuple(
        Exchange(number, at, Arm(arm), *rest)
        for number, (at, arm, *rest) in enumerate(found["records"], first)
    )
    return Traffic(
        epoch=found["epoch"],
        exchanges=exchanges,
        next=first + len(exchanges),
        more=len(exchanges) >= PAGE,
        dropped=first - found["start"],
        now=found.get("now"),
        waiting=tuple(Waiting(Arm(arm), *rest) for arm, *rest in found.get("waiting", ())),
    )
