"""The parts of docs/architecture.md that are made from the code: rooms, actions, messages, states.

`python -m tests.docs.architecture` rewrites them; a test holds the page to it.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from controller.machine.core import Action
from controller.machine.handlers import HANDLERS
from controller.machine.messages import MESSAGES
from controller.machine.transitions import TRANSITIONS, diagram

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
_WIRING: Final = ("controller/wiring/controller.py", "controller/wiring/github.py")
_BLOCK: Final = re.compile(
    r"(<!-- made from the code: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL
)


def render(text: str) -> str:
    """The page with each block made anew. Raises KeyError for a block of an unknown name."""
    blocks = {
        "rooms": _rooms,
        "actions": _actions,
        "messages": _messages,
        **{f"states of a {subject}": _states for subject in TRANSITIONS},
    }

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        make = blocks[name]
        lines = _states(name) if make is _states else make(name)
        return f"{found[1]}\n" + "\n".join(lines) + f"\n\n{found[3]}"

    return _BLOCK.sub(block, text)


def _rooms(_name: str) -> Iterator[str]:
    """The layers that import-linter keeps, top first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in settings["contracts"] if c.get("exhaustive"))
    yield "| layer | room | what it does |"
    yield "|---|---|---|"
    for number, layer in enumerate(layers, 1):
        for room in layer.split(" | "):
            doc = _first_line(ROOT / "controller" / room / "__init__.py")
            yield f"| {number} | `controller/{room}` | {doc.removeprefix('PURE. ')} |"


def _actions(_name: str) -> Iterator[str]:
    yield "| action | what it does | applied by |"
    yield "|---|---|---|"
    appliers = {name: by for path in _WIRING for name, by in _appliers(path).items()}
    from_actions = (a for a in Action.__subclasses__() if a.__module__.startswith("controller."))
    for action in sorted(from_actions, key=lambda one: one.__name__):
        doc = (action.__doc__ or "").strip().partition("\n")[0]
        yield f"| `{action.__name__}` | {doc} | {appliers[action.__name__]} |"


def _messages(_name: str) -> Iterator[str]:
    yield "| message | what it says | handled by |"
    yield "|---|---|---|"
    for message in sorted(MESSAGES.values(), key=lambda one: one.__name__):
        doc = (message.__doc__ or "").strip().partition("\n")[0]
        by = [
            f"`{table[message].__module__.replace('.', '/')}.py`: `{table[message].__name__}`"
            for table in HANDLERS.values()
            if message in table
        ]
        yield f"| `{message.__name__}` | {doc} | {', '.join(by)} |"


def _states(name: str) -> Iterator[str]:
    subject = next(one for one in TRANSITIONS if name.endswith(f" {one}"))
    yield "```mermaid"
    yield from diagram(subject)
    yield "```"


def _appliers(path: str) -> Mapping[str, str]:
    """By action, the file and method that the composition root names for it."""
    module = ast.parse((ROOT / path).read_text())
    homes = {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    classes = _attributes(module)
    found = {}
    for node in ast.walk(module):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Name) and isinstance(value, ast.Attribute):
                found[key.id] = _place(value, classes, homes, path)
    return found


def _place(
    value: ast.Attribute, classes: Mapping[str, str], homes: Mapping[str, str], path: str
) -> str:
    owner = ast.unparse(value.value).removeprefix("self.")
    if owner == "self":
        return f"`{path}`: `{value.attr}`"
    name = classes[owner]
    return f"`{_home_of(name, homes[name])}`: `{name}.{value.attr}`"


def _home_of(name: str, module: str) -> str:
    """The file that has the class; a package may only pass it on."""
    path = ROOT / module.replace(".", "/")
    files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return next(
        file.relative_to(ROOT).as_posix() for file in files if f"class {name}" in file.read_text()
    )


def _attributes(module: ast.Module) -> Mapping[str, str]:
    """The classes of what a composition root keeps, by the name of the attribute."""
    returns = {
        node.name: node.returns
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.returns is not None
    }
    found: dict[str, str] = {}
    for node in ast.walk(module):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        called = ast.unparse(node.value.func)
        made = returns.get(called.removeprefix("self.")) if called.startswith("self.") else None
        target = node.targets[0]
        if isinstance(target, ast.Tuple) and isinstance(made, ast.Subscript):
            assert isinstance(made.slice, ast.Tuple)
            names = [ast.unparse(one) for one in made.slice.elts]
            for each, name in zip(target.elts, names, strict=True):
                found[ast.unparse(each).removeprefix("self.")] = name
        else:
            name = ast.unparse(made) if made is not None else called
            found[ast.unparse(target).removeprefix("self.")] = name
    return found


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
