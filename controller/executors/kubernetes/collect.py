"""The last container of a pod: stores the outputs of a step that succeeded.

Its message says the digest of each output, or why there is none; that is as good an end as any for
this program. It fails only if the store cannot be reached.

In a pod of a TrainJob it runs beside the step (`BESIDE`) until the kubelet asks it to end, as the
step has; of all nodes, the first one's outputs are stored.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

from controller.executors.kubernetes.job import STEP
from controller.executors.kubernetes.names import BESIDE, ELSEWHERE, MISSING, OUTPUTS, READY
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


def wait_for_the_step() -> None:
    """Return once this process is asked to end. Until it is ready for that, no step begins."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Path(READY).touch()
    signal.sigwait({signal.SIGTERM})


def main() -> int:
    """The container's program; its exit code."""
    if BESIDE in sys.argv[1:]:
        wait_for_the_step()
        if os.environ["JOB_COMPLETION_INDEX"] != "0":
            tell({OUTPUTS: {}})
            return 0
    return persist(lambda: collect(Path(WHOLE)))


if __name__ == "__main__":
    sys.exit(main())
