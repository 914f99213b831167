"""How long the result of a step may be reused for an identical step."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from specs.base import Spec
from specs.values import Duration


class CacheFor(Spec):
    """A result that may be reused for a limited time."""

    for_: Duration = Field(
        alias="for", description="The greatest age of a result when a run starts, such as 24h."
    )


def _form(value: object) -> str:
    return "for" if isinstance(value, dict | CacheFor) else "word"


Cache = Annotated[
    Annotated[Literal["always", "never"], Tag("word")] | Annotated[CacheFor, Tag("for")],
    Discriminator(_form),
]
"""`always`, `never` or `{for: 24h}`."""


def seconds_reusable(cache: Literal["always", "never"] | CacheFor) -> float | None:
    """How many seconds a result may be reused for: 0 for never, None for always."""
    if isinstance(cache, CacheFor):
        return cache.for_.total_seconds()
    return 0.0 if cache == "never" else None
