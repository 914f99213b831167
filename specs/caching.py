"""How long the result of a step stands for another try at the same."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from specs.base import Spec
from specs.values import Duration


class CacheFor(Spec):
    """A result that stands for a while."""

    for_: Duration = Field(
        alias="for", description="How old a result may be when a run begins, such as 24h."
    )


def _form(value: object) -> str:
    return "for" if isinstance(value, dict | CacheFor) else "word"


Cache = Annotated[
    Annotated[Literal["always", "never"], Tag("word")] | Annotated[CacheFor, Tag("for")],
    Discriminator(_form),
]
"""`always`, `never` or `{for: 24h}`."""


def stands_for(cache: Literal["always", "never"] | CacheFor) -> float | None:
    """Seconds for which a result may be reused: 0 for never, None for ever."""
    if isinstance(cache, CacheFor):
        return cache.for_.total_seconds()
    return 0.0 if cache == "never" else None
