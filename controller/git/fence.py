"""Keeps a controller that lost its lease from pushing, also when it was paused in the middle.

Beside each push a ref of the shard moves, in the same atomic push, to a commit that has the token
of the lease. Who pushes names where the ref was when it read it, and reads no newer token there: so
after a push of the next holder the server refuses those of the former one.
"""

import re
from uuid import uuid4

from controller.git.compare_and_swap import HEADGATE
from controller.git.mirror import Mirror, RefMove
from controller.store.shards import LeaseToken
from specs.failures import TryAgain

REFS = "refs/notes/headgate-lease/"
"""Where these refs are: there, they are fetched with the notes, and no branch of a person's."""
_TOKEN = re.compile(r"Lease (\d+)")


async def fenced(mirror: Mirror, lease: LeaseToken) -> RefMove:
    """What is to be pushed beside a change that relies on a lease. Raises `TryAgain` if somebody
    has pushed under a later one, and what `Mirror` raises."""
    ref = f"{REFS}{lease.shard}"
    tip = await mirror.tip(ref)
    found = _TOKEN.match((await mirror.commit_info(tip)).subject) if tip else None
    if found is not None and int(found[1]) > lease.token:
        raise TryAgain(
            f"{mirror.url} was pushed to under a later lease ({ref} is at {found[1]}, this "
            f"controller's is {lease.token}): another controller has the work"
        )
    # A ref that does not move is compared by the client only.
    made = await mirror.write_commit(None, {}, f"Lease {lease.token}\n\n{uuid4().hex}", HEADGATE)
    return RefMove(ref, made, tip)
