"""What import-linter cannot say: pure machines, an applier per action, a handler per message."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from controller.machine import actions
from controller.machine.core import Action, Envelope, Key
from controller.machine.handlers import HANDLERS
from controller.machine.messages import MESSAGES, Resume

ROOT = Path(__file__).parents[2]
MACHINES = sorted((ROOT / "controller" / "machine").rglob("*.py"))
PACKAGES = ("controller", "specs", "validators", "deployers")
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
IMPURE_CALLS = {"now", "utcnow", "today", "time", "monotonic", "open", "getenv", "urandom", "uuid4"}
IMPURE_MODULES = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket",
    "sqlite3", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
}  # fmt: skip


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
    for file in ("controller.py", "github.py"):
        for node in ast.walk(tree(ROOT / "controller" / "wiring" / file)):
            if isinstance(node, ast.Dict):
                applied |= {key.id for key in node.keys if isinstance(key, ast.Name)}
    assert {kind.__name__ for kind in kinds() if kind is not Action} <= applied


def test_every_message_is_handled_by_the_machines_that_it_is_for_and_by_no_other() -> None:
    handled = {
        message: {kind for kind, table in HANDLERS.items() if message in table}
        for message in MESSAGES.values()
    }
    assert len(handled) > 20
    assert handled == {one: set(one.addressees) or set(HANDLERS) for one in handled}


def constructed(path: Path) -> set[str]:
    """The names that are called there, as classes are."""
    calls = (node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)}


def test_every_message_is_sent_by_somebody() -> None:
    sent = {one for path in MODULES if path.name != "messages.py" for one in constructed(path)}
    assert {message.__name__ for message in MESSAGES.values()} <= sent


def test_a_message_to_an_object_that_does_not_handle_it_cannot_be_written() -> None:
    with pytest.raises(ValidationError, match="resume is for environment, not for run/mean-1"):
        Envelope(to=Key("run", "mean-1"), id="1", message=Resume(by="ada"))


def test_no_two_public_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name(path))
    assert {one: where for one, where in homes.items() if len(where) > 1} == {}


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
