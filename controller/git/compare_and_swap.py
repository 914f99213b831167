"""Writes a ref of a remote with compare-and-swap, so that nobody's commit is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from controller.git.command import Rejected
from controller.git.commit_info import Author
from controller.git.mirror import Mirror, RefMove
from specs.failures import TryAgain

HEADGATE = Author("Headgate", "headgate@localhost")
"""Author and committer of Headgate's commits."""

_TRIES = 12


class NextCommit(NamedTuple):
    """The next commit: files to write (None: to delete) and its message."""

    files: Mapping[str, bytes | None]
    message: str


class RetryTiming(NamedTuple):
    """How to wait after a lost race. `jitter` returns 0 to 1, to keep two writers from colliding
    again."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


async def swap(
    mirror: Mirror,
    ref: str,
    propose: Callable[[str | None], Awaitable[NextCommit | str]],
    backoff: RetryTiming,
    known: str | None = None,
    beside: Callable[[], Awaitable[RefMove]] | None = None,
) -> str:
    """Commit on top of the remote's `ref` and push, again whenever somebody else was faster.

    `propose` is called with the ref's current commit (None if it does not exist) and returns what
    to write, or the commit that wrote it already. `known` is where the ref most likely is, so that
    the remote is asked only if it is not. `beside` is called for each push and says what else moves
    in it. Returns the commit. Raises `TryAgain` after a dozen lost
    races, and what `Mirror` and `propose` raise.
    """
    for lost in range(_TRIES):
        tip = known if known and not lost else await mirror.tip(ref)
        proposal = await propose(tip)
        if isinstance(proposal, str):
            return proposal
        sha = await mirror.write_commit(tip, proposal.files, proposal.message, HEADGATE)
        try:
            if beside is None:
                await mirror.push(ref, sha, tip)
            else:
                await mirror.push_together(RefMove(ref, sha, tip), await beside())
        except Rejected:
            await backoff.sleep(0.05 * 2 ** min(lost, 5) * (0.5 + backoff.jitter()))
        else:
            return sha
    raise TryAgain(
        f"{ref} of {mirror.url} was pushed to {_TRIES} times while Headgate tried to write it: "
        "check what pushes there so often"
    )
