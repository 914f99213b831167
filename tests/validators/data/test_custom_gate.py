"""Custom expectations are judged by a module that may do what it likes, to itself alone."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.validators.data.asking import ask
from validators.data.request import CustomModule
from validators.report import Report
from validators.verdict import Verdict

GOOD = """
import great_expectations.expectations as gxe
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, ColumnMapExpectation
from great_expectations.expectations.metrics import (
    ColumnMapMetricProvider, column_condition_partial
)


class ColumnValuesEven(ColumnMapMetricProvider):
    condition_metric_name = "column_values.even"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, **kwargs):
        return column % 2 == 0


class ExpectColumnValuesToBeEven(ColumnMapExpectation):
    map_metric = "column_values.even"


class ExpectPassengerCount(gxe.ExpectColumnValuesToBeBetween):
    column: str = "x"
    min_value: float = 0
    max_value: float = 6


class ExpectMoreRowsThanColumns(BatchExpectation):
    metric_dependencies = ("table.row_count", "table.column_count")

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        return {"success": metrics["table.row_count"] > metrics["table.column_count"]}
"""
HOSTILE = """
import os, sys
from great_expectations.expectations.expectation import BatchExpectation


class _Acts(BatchExpectation):
    metric_dependencies = ("table.row_count",)

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        self.act()
        return {"success": True}

    def act(self):
        pass


class ExpectRaise(_Acts):
    def act(self): raise ValueError("SECRET-ROW-7f3a")

class ExpectExit(_Acts):
    def act(self): os._exit(0)

class ExpectLoop(_Acts):
    def act(self):
        while True: pass

class ExpectMemory(_Acts):
    def act(self):
        self.hog()

    def hog(self):
        hogs = []
        while True: hogs.append(bytearray(2**28))

class ExpectLie(_Acts):
    def act(self):
        for fd in range(3, 64):
            try: os.write(fd, b'{"success": true}\\n{"success": true}\\n{"success": true}\\n')
            except OSError: pass

class ExpectFlood(_Acts):
    def act(self):
        for fd in range(3, 64):
            try: os.write(fd, b"x" * 60000)
            except OSError: pass

class ExpectWrite(_Acts):
    def act(self):
        with open(FORGED, "w") as file:
            file.write("PASS")

class ExpectDaemon(_Acts):
    def act(self):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", "86399.25"])
            os._exit(0)

class ExpectPrint(_Acts):
    def act(self): print("nothing of this is an answer", flush=True)

class ExpectSegfault(_Acts):
    def act(self): os.kill(os.getpid(), 11)
"""
TABLE = {"x": [2, 4, 5, None], "y": ["a", "b", "c", "d"]}


def suite(*entries: tuple[str, dict[str, Any]]) -> str:
    listed = [{"type": kind, "kwargs": kwargs} for kind, kwargs in entries]
    return json.dumps({"name": "s", "expectations": listed}, indent=1)


def judged(folder: Path, module: str, text: str, **limits: Any) -> Report:
    file = folder / "custom.py"
    file.write_text(module)
    custom = CustomModule(path=str(file), origin="expectations/custom.py", **limits)
    return ask(folder, TABLE, text, "suite.json", custom=custom)


def told(report: Report) -> list[tuple[Verdict, str]]:
    return [(check.verdict, check.message) for check in report.checks]


def test_a_map_a_batch_and_a_core_expectation_with_defaults_are_evaluated(tmp_path: Path) -> None:
    text = suite(
        ("expect_column_values_to_be_even", {"column": "x"}),
        ("expect_column_values_to_be_even", {"column": "x", "mostly": 0.6}),
        ("expect_column_values_to_be_even", {"column": "x", "row_condition": "x < 5",
                                             "condition_parser": "pandas"}),
        ("expect_passenger_count", {}),
        ("expect_more_rows_than_columns", {}),
        ("expect_column_values_to_be_unique", {"column": "y"}),  # the other gate's
    )  # fmt: skip
    report = judged(tmp_path, GOOD, text)
    assert [check.verdict for check in report.checks] == [
        Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.PASS,
    ]  # fmt: skip
    even = report.checks[0]
    assert "1 of 3" in even.message
    assert even.where is not None
    assert even.where.line == 4
    assert even.histogram is not None
    assert (even.histogram.n, even.histogram.unit) == (3, "number")
    assert [one.histogram for one in report.checks[1:]] == [None] * 4


def test_the_gate_beside_it_judges_the_rest_and_only_that(tmp_path: Path) -> None:
    text = suite(
        ("expect_passenger_count", {}), ("expect_column_values_to_be_unique", {"column": "y"})
    )
    report = ask(tmp_path, TABLE, text, "suite.json", leaves_custom=True)
    assert [check.subject for check in report.checks] == ["y"]
    only = ask(
        tmp_path, TABLE, suite(("expect_passenger_count", {})), "suite.json", leaves_custom=True
    )
    assert "judged by the gate beside this one" in only.checks[0].message
    assert only.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("raise", "ValueError"),
        ("exit", "ended with exit code 0"),
        ("loop", "took more than"),
        ("memory", "MemoryError"),
        ("lie", "answers what was not asked"),
        ("flood", "answers"),
        ("write", "OSError"),
        ("segfault", "ended by SIGSEGV"),
        ("nothing_of_that_name", "there is no such expectation type"),
    ],
)
def test_whatever_one_does_the_others_are_judged(tmp_path: Path, kind: str, said: str) -> None:
    forged = tmp_path / "forged"
    text = suite((f"expect_{kind}", {}), ("expect_print", {}))
    module = HOSTILE.replace("FORGED", repr(str(forged)))
    seconds = 60.0 if kind != "loop" else 45.0
    report = judged(tmp_path, module, text, seconds=seconds, memory=2**29)
    (first, second) = told(report)
    assert first[0] is Verdict.ERROR
    assert said in first[1]
    assert "SECRET-ROW" not in report.model_dump_json()
    assert second[0] is Verdict.PASS
    assert not forged.exists() or forged.read_bytes() == b""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import nothing_like_this", "ModuleNotFoundError in line 1"),
        ("def broken(:", "SyntaxError in line 1"),
        ("raise SystemExit(0)", "SystemExit in line 1"),
        ("import os\nos._exit(0)", "ended with exit code 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error_of_each(
    tmp_path: Path, module: str, said: str
) -> None:
    text = suite(("expect_a", {}), ("expect_b", {}))
    report = judged(tmp_path, module, text)
    for verdict, message in told(report):
        assert verdict is Verdict.ERROR
        assert said in message
        assert "expectations/custom.py" in message


def test_a_module_that_never_ends_its_import_is_told_so(tmp_path: Path) -> None:
    report = judged(tmp_path, "while True: pass", suite(("expect_a", {})), seconds=1.0)
    ((verdict, message),) = told(report)
    assert verdict is Verdict.ERROR
    assert "custom.py took more than 0 s to be imported" in message


def test_a_machine_that_is_too_busy_to_start_is_not_the_fault_of_the_module(
    tmp_path: Path,
) -> None:
    text = suite(("expect_passenger_count", {}), ("expect_more_rows_than_columns", {}))
    for verdict, message in told(judged(tmp_path, GOOD, text, starting=0.01)):
        assert verdict is Verdict.ERROR
        assert "too long to start, which is not its fault" in message


def test_a_module_that_no_expectation_needs_is_an_error(tmp_path: Path) -> None:
    report = judged(tmp_path, GOOD, suite(("expect_column_values_to_be_unique", {"column": "y"})))
    (check,) = report.checks
    assert check.verdict is Verdict.ERROR
    assert check.next_step is not None
    assert "custom_expectations" in check.next_step


def test_a_missing_column_fails_without_the_module(tmp_path: Path) -> None:
    text = suite(("expect_column_values_to_be_even", {"column": "z"}))
    (check,) = judged(tmp_path, GOOD, text).checks
    assert (check.verdict, check.message) == (
        Verdict.FAIL,
        "column `z` is missing from the dataset",
    )


def test_nothing_that_the_module_starts_outlives_the_gate(tmp_path: Path) -> None:
    report = judged(tmp_path, HOSTILE, suite(("expect_daemon", {}), ("expect_print", {})))
    assert report.verdict is Verdict.PASS
    left = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            left.append(each.read_bytes())
    assert not any(b"86399.25" in line for line in left)
