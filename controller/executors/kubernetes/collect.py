"""The last container of a pod: stores the outputs of a step that succeeded.

Its message says the digest of each output, or why there is none; that is as good an end as any for
this program. It fails only if the store cannot be reached.
"""

import json
import sys
from functools import partial
from pathlib import Path

from controller.executors.kubernetes.job import STEP
from controller.executors.kubernetes.names import ELSEWHERE, MISSING, OUTPUTS
from controller.executors.kubernetes.plan import (
    MESSAGE_BYTES,
    TELL,
    persist,
    tell,
    told,
)
from controller.executors.outputs import store_outputs
from deployers.kubernetes.pods import WHOLE
from specs.failures import NeedsHuman


async def collect(whole: Path, to: Path = TELL) -> None:
    """Store the outputs, and tell their digests. Raises `Failure`."""
    # The step could not reach this folder, and so cannot have put anything into the cache.
    plan, artifacts, _ = await told(whole / "collected")
    said: dict[str, object]
    try:
        stored = partial(store_outputs, plan.node, plan.outputs, whole / STEP.name)
        said = {OUTPUTS: await artifacts.storing(stored)}
    except NeedsHuman as failure:
        said = {MISSING: f"{failure}"}
    content = json.dumps(said).encode()
    if OUTPUTS in said and len(content) > MESSAGE_BYTES:
        said = {ELSEWHERE: (await artifacts.put_bytes(content)).digest}
    tell(said, to)


def main() -> int:
    """The container's program; its exit code."""
    return persist(lambda: collect(Path(WHOLE)))


if __name__ == "__main__":
    sys.exit(main())
