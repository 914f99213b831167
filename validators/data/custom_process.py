"""`python -P -m validators.data.custom_process FD`: evaluate custom expectations, one by one.

FD is the number of a descriptor with the gate's request. The process reads the data and the suite,
and says that it has started; told so by a line, it imports the module, and says that it is ready;
then each line of its standard input is the place of an expectation, and each line of its standard
output an answer. From the import of the module on, it
can write no file, nor use more memory than the request says, and it is trusted in nothing.
"""

import importlib.util
import logging
import os
import re
import resource
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from validators.data.answering.measure import rows_of
from validators.data.asked_suite import asked_suite
from validators.data.custom_answer import FAILED, READY, STARTED, CustomAnswer
from validators.data.metrics.conditions import condition_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.opening import open_dataset
from validators.data.request import CustomModule, DataGateRequest
from validators.data.suites import engine
from validators.data.suites.core_types import custom_of
from validators.data.suites.suite import Expectation
from validators.data.values.frame import frame_of
from validators.data.values.literals import Unfit

_CONDITION = ("row_condition", "condition_parser")


def main(arguments: Sequence[str]) -> int:
    """Serve until nobody asks any more."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with open(int(arguments[0]), "rb") as file:  # noqa: PTH123 - a descriptor
        request = DataGateRequest.model_validate_json(file.read())
    assert request.custom is not None
    answers = _only_for_answers()
    asked = custom_of(asked_suite(request)[0])
    dataset = open_dataset(request.objects, None, None, request.reading)
    _warm_up()
    _limit(request.custom)
    os.write(answers, STARTED + b"\n")
    if not sys.stdin.readline():
        return 0
    why = _imported(request.custom)
    os.write(answers, (FAILED + why.encode() if why else READY) + b"\n")
    for line in sys.stdin:
        answer = _answer(dataset, asked[int(line)])
        os.write(answers, answer.model_dump_json(exclude_defaults=True).encode() + b"\n")
    return 0


def _warm_up() -> None:
    """Have Great Expectations import and make all that it needs, before there are limits."""
    import pandas as pd

    any_rows = Expectation("expect_table_row_count_to_be_between", {"min_value": 0})
    engine.evaluate(pd.DataFrame({"x": [1]}), {0: any_rows})


def _only_for_answers() -> int:
    """The descriptor of the standard output, which what is printed does not reach any more."""
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    return answers


def _limit(module: CustomModule) -> None:
    """Let this process write no file and need no more memory than it may."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    most = (int(held[1]) * 1024 if held else 0) + module.memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _imported(module: CustomModule) -> str:
    """Import the module by its path; why that fails, or nothing."""
    try:
        found = importlib.util.spec_from_file_location("custom_expectations", module.path)
        assert found is not None
        assert found.loader is not None
        made = importlib.util.module_from_spec(found)
        sys.modules["custom_expectations"] = made
        found.loader.exec_module(made)
    except SyntaxError as error:
        return f"SyntaxError in line {error.lineno}"
    except BaseException as error:  # also SystemExit
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == module.path
        ]
        where = f" in line {lines[-1]}" if lines else ""
        return f"{type(error).__name__}{where}"
    return ""


def _answer(dataset: OpenedDataset, one: Expectation) -> CustomAnswer:
    try:
        condition = condition_of(one.kwargs)
        table = rows_of(dataset, condition, _columns(dataset, one))
        if table.num_rows == 0 and condition is not None:
            return CustomAnswer(n=0, nothing=True)
        kwargs = {name: value for name, value in one.kwargs.items() if name not in _CONDITION}
        plain = replace(one, kwargs=kwargs)
        if misfit := engine.misfit(plain):
            meant = f", did you mean `{misfit.meant}`?" if misfit.meant else ""
            return _refused(misfit.why + meant)
        (outcome,) = engine.evaluate(frame_of(table), {0: plain})
        return CustomAnswer.of(outcome, table.num_rows)
    except Unfit as error:
        return _refused(str(error))
    except Exception as error:  # of any kind: its message may quote the data
        return CustomAnswer(raised=type(error).__name__)


def _refused(why: str) -> CustomAnswer:
    return CustomAnswer(refused=re.sub(r"[^\w .,:;`'()/-]", " ", why)[:200])


def _columns(dataset: OpenedDataset, one: Expectation) -> list[str]:
    """The columns that its arguments name; all of them, if they name none."""
    texts: list[Any] = []
    for value in one.kwargs.values():
        texts += value if isinstance(value, list) else [value]
    named = [name for name in dataset.types if name in texts]
    return named or list(dataset.types)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
