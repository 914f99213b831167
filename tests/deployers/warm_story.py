"""A warm process of a controller that has all the rights of root: `tests.rights` runs this module.

Asked for a place, it tells what a fresh process and a fork find, and what the warm process may do.
"""

import json
import sys
from pathlib import Path

from deployers.confinement import confinement
from tests.deployers.test_warm import MODULE, Bench, compared


def tell(root: Path) -> dict[str, object]:
    """See above; nothing where pipelines have no users of their own."""
    if confinement(()).kind != "users":
        return {}
    root.chmod(0o755)
    bench = Bench(root, "users")
    bench.environment["TEST"] = str(root)
    bench.warm.start()
    fresh, forked = compared(bench)
    assert bench.user is not None
    warm_user = bench.confinement.warm_user(MODULE)
    assert warm_user is not None
    warm = rights_of(bench.forks())
    bench.close()
    return {
        "fresh": fresh,
        "forked": forked,
        "user": bench.user.uid,
        "warm_user": warm_user.uid,
        "warm": warm,
    }


def rights_of(processes: list[int]) -> dict[str, object]:
    """What the warm process is and may do, of bwrap and itself."""
    for each in processes:
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        uids = set(status["Uid"].split())
        if uids != {"0"}:
            return {"uids": sorted(uids), "effective": status["CapEff"]}
    raise AssertionError("there is no warm process")


if __name__ == "__main__":
    print(json.dumps(tell(Path(json.load(sys.stdin)))))
