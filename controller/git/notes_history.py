"""Keeps the history of the notes short.

Every report is a commit of the notes ref, and none of these commits is needed: the notes of all
commits are in the files of the last one. So a long history is replaced by one commit with the same
files. The push names the commit that it replaces, so nothing that somebody wrote meanwhile is lost;
a process that is killed before has only made a commit that nobody knows.

Whoever fetches the ref has to allow that it is replaced, by a `+` in front of the refspec. Notes
that a person has not pushed yet are merged as always, but without a common ancestor: where both
sides have changed the same note, `-s union` keeps both texts.
"""

import structlog

from controller.git.command import Rejected
from controller.git.compare_and_swap import HEADGATE
from controller.git.mirror import Mirror
from specs.failures import NeedsHuman

MOST = 5000
"""Commits that the history may have: about 2 MiB of commits and folders, and seldom replaced."""

log = structlog.get_logger("headgate.notes")


async def compact(mirror: Mirror, ref: str, most: int = MOST) -> int:
    """Replace a history of more than `most` commits by one commit; how many there were, or 0 if
    nothing was done, also where the server does not allow it. Raises what `Mirror` raises."""
    tip = await mirror.tip(ref)
    many = await mirror.count(tip) if tip is not None else 0
    if tip is None or many <= most:
        return 0
    message = f"Compact the history of {many} commits of notes\n\nThe last was {tip}.\n"
    short = await mirror.without_history(tip, message, HEADGATE)
    try:
        await mirror.push(ref, short, tip)
    except (Rejected, NeedsHuman) as refused:
        log.warning("the history of notes stays as long as it is", reason=str(refused))
        return 0
    log.info("compacted the history of notes", repository=mirror.url, commits=many)
    return many
