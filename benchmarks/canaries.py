"""How soon a bad canary is decided, and how many requests it gets until then.

Each kind of `tests/scenarios/bad_canaries.py` goes the whole way: committed, tried in staging, then
half of about 400 requests a second in production until the judge, which looks twice a second, has
decided. Requests that still hang are counted in neither column. A ratio is to one request in twenty
that fails.
"""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.common import Row
from tests.scenarios.bad_canaries import CASES, Case, Seen, trial

REFERENCE = "errors 5 %"


async def decided() -> dict[Case, Seen]:
    """How each was decided, in one world."""
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        async with trial(Path(folder)) as production:
            for case in CASES:
                seen[case] = one = await production.see(case)
                named = ", ".join(one.signals) or "-"
                print(
                    f"{case.kind:<14}{one.decided:<13}{named:<24}{one.seconds:7.1f} s"
                    f"{one.requests:8,} requests{one.hurt:7,} failed",
                    flush=True,
                )
    return seen


def main() -> list[Row]:
    """Print how each was decided, and return a row for each that was not promoted."""
    seen = asyncio.run(decided())
    reference = next(one for case, one in seen.items() if case.kind == REFERENCE)
    return [
        Row(
            f"canary {case.kind}: {one.requests:,} requests",
            one.seconds,
            "s",
            REFERENCE,
            reference.seconds,
        )
        for case, one in seen.items()
        if one.decided != "promoted"
    ]


if __name__ == "__main__":
    main()
