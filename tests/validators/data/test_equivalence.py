"""On generated tables of every Arrow type our answers are those of Great Expectations on pandas, or
differ for a reason that docs/data-gate.md tells."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

DOCS: Final = Path("docs/data-gate.md")
EXAMPLES: Final = 250
_WHOLE = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_TIMES = {"date", "seconds", "micros", "nanos", "berlin", "clock", "span"}
_EXACT = {"money", "exact", "widest"}


class Known(NamedTuple):
    """A difference that is documented."""

    type: str
    kinds: set[str]
    told: str
    """What docs/data-gate.md says about it, in part."""


KNOWN: Final = (
    Known("_set$", _TIMES | _EXACT, "`in_set` fails and `not_in_set` passes"),
    Known("_set$", {"binary"}, "bytes are never in a set"),
    Known("between", _EXACT, "1.1 is above the decimal 1.10"),
    Known("between", _TIMES, "a limit without a zone"),
    Known("(in|de)creasing", _WHOLE | {"bool"}, "in integers of the column's own width"),
    Known("(in|de)creasing", {"list", "struct"}, "structs have no order"),
    Known("within_record|values_to_be_equal", _EXACT | _TIMES, "several nulls"),
    Known("sum_to_be", _WHOLE | {"float32"}, "A sum of integers wraps around"),
    Known("(mean|stdev|median|outliers|z_scores)", _WHOLE | {"float32"}, "in floats of 32 bits"),
)


def test_every_difference_from_great_expectations_is_documented() -> None:
    command = [sys.executable, "-m", "tests.validators.data.against_engine", str(EXAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["compared"] > EXAMPLES
    untold = [one for one in found["differing"] if not is_told(one)]
    assert untold == [], Counter((one["type"], *one["columns"]) for one in untold)


def is_told(one: dict[str, Any]) -> bool:
    """Whether the page says why they differ."""
    raised = one["theirs"][-1]
    if one["nothing"] or one["refused"] or raised:
        return True  # "A check of nothing", "Members and limits"; and what they raise, we answer
    return any(
        re.search(known.type, one["type"]) and known.kinds & set(one["columns"]) for known in KNOWN
    )


def test_the_page_tells_each_of_them() -> None:
    page = " ".join(DOCS.read_text().split())
    assert [known.told for known in KNOWN if known.told not in page] == []
