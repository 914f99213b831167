"""Write a ref of a remote by compare-and-swap, so that nobody's commit is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from controller.git.command import Rejected
from controller.git.mirror import Mirror
from controller.git.values import Author
from specs.failures import TryAgain

HEADGATE = Author("Headgate", "headgate@localhost")
"""Author and committer of all that Headgate writes."""

_TRIES = 12


class NextCommit(NamedTuple):
    """The next commit: files to write (None: to delete) and its message."""

    files: Mapping[str, bytes | None]
    message: str


class Pace(NamedTuple):
    """How a lost race is waited out: `jitter` gives 0 to 1, so that two losers part."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


async def swap(
    mirror: Mirror,
    ref: str,
    propose: Callable[[str | None], Awaitable[NextCommit | str]],
    pace: Pace,
) -> str:
    """Commit on top of the remote's `ref` and push, once more whenever somebody else was faster.

    `propose` gets the ref's present commit (None: there is no such ref) and returns what to
    write there, or the commit that did it already. Returns the commit. Raises TryAgain after a
    dozen lost races, besides what `Mirror` and `propose` raise.
    """
    for lost in range(_TRIES):
        tip = await mirror.tip(ref)
        proposal = await propose(tip)
        if isinstance(proposal, str):
            return proposal
        sha = await mirror.write_commit(tip, proposal.files, proposal.message, HEADGATE)
        try:
            await mirror.push(ref, sha, tip)
        except Rejected:
            await pace.sleep(0.05 * 2 ** min(lost, 5) * (0.5 + pace.jitter()))
        else:
            return sha
    raise TryAgain(
        f"{ref} of {mirror.url} moved {_TRIES} times while it was being written to: "
        "does something push there all the time?"
    )
