"""What import-linter cannot say of machines: no clock, every action applied, every letter read."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.machine import actions
from controller.machine.core import Action

ROOT = Path(__file__).parents[2]
MACHINES = sorted((ROOT / "controller" / "machine").rglob("*.py"))
PACKAGES = ("controller", "specs", "validators", "deployers")
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
IMPURE_CALLS = {"now", "utcnow", "today", "time", "monotonic", "open", "getenv", "urandom", "uuid4"}
IMPURE_MODULES = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket",
    "sqlite3", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
SENT_FROM_OUTSIDE = {"trigger", "approve", "promote", "pause", "resume", "abort", "rollback"}
SENT_FROM_OUTSIDE |= {"retry", "schedule_due", "smoke_done", "environment_written"}
SENT_FROM_OUTSIDE |= {"environment_moved", "action_failed", "cancel"}
ONLY_WAKES = {"look", "environment_moved"}
"""Nothing to read but that something moved."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", MACHINES, ids=name)
def test_a_machine_reads_no_clock_and_touches_nothing(path: Path) -> None:
    module = tree(path)
    assert not {one.partition(".")[0] for one in imported(module)} & IMPURE_MODULES
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func
            last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            assert last not in IMPURE_CALLS, f"{name(path)}:{node.lineno} calls {last}"
        assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.Global))


@pytest.mark.parametrize("path", [p for p in MACHINES if p.name != "__init__.py"], ids=name)
def test_a_machine_says_that_it_is_pure(path: Path) -> None:
    doc = ast.get_docstring(tree(path)) or ""
    assert doc.startswith("PURE.") or path.name == "core.py"


def kinds() -> list[type[Action]]:
    return [a for a in vars(actions).values() if isinstance(a, type) and issubclass(a, Action)]


def test_every_action_has_a_type_of_its_own() -> None:
    types = [kind.model_fields["type"].default for kind in kinds() if kind is not Action]
    assert len(types) > 5
    assert len(set(types)) == len(types)


def test_every_action_has_an_applier() -> None:
    applied: set[str] = set()
    for file in ("app.py", "on_github.py"):
        for node in ast.walk(tree(ROOT / "controller" / file)):
            if isinstance(node, ast.Dict):
                applied |= {key.id for key in node.keys if isinstance(key, ast.Name)}
    wanted = {kind.__name__ for kind in kinds() if kind is not Action}
    # `Addressed` turns each Notify into a Send per address before it is owed.
    assert wanted - {"Notify"} <= applied


def sent() -> set[str]:
    """Types of the messages that the machines make."""
    found = set()
    for path in MACHINES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message":
                types = [k.value for k in node.keywords if k.arg == "type"]
                found |= {t.value for t in types if isinstance(t, ast.Constant)}
    return {str(one) for one in found}


def heeded() -> set[str]:
    """Types that the machines match on or compare with."""
    found: set[Any] = set()
    for path in MACHINES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
                found.add(node.value.value)
            if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith(".type"):
                found |= {c.value for c in node.comparators if isinstance(c, ast.Constant)}
    return {one for one in found if isinstance(one, str)}


def test_every_letter_that_is_sent_is_heeded() -> None:
    assert {"start", "run_ended", "release"} <= sent()
    assert sent() | SENT_FROM_OUTSIDE <= heeded() | ONLY_WAKES


def test_every_letter_that_is_heeded_is_sent_by_somebody() -> None:
    elsewhere = "\n".join(p.read_text() for p in MODULES if p.parent.name != "machine")
    for one in SENT_FROM_OUTSIDE:
        assert f'"{one}"' in elsewhere or one in {
            "approve", "promote", "pause", "resume", "abort", "rollback", "retry",
        }, f"nobody sends {one}"  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{name(path)}:{node.lineno} {node.name} has {lines} lines"
