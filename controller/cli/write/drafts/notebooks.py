"""PURE. Reads a notebook as a script with parameters, as papermill runs it."""

import ast
import json
from typing import Any

from controller.cli.write.drafts.scripts import parsed, read_script
from controller.cli.write.drafts.values import Option, Script
from specs.base import Scalar


def read_notebook(path: str, text: str) -> Script | None:
    """The notebook's code as a script whose options are the variables in the cell tagged
    `parameters`. None if it is not a notebook."""
    code = _cells(text)
    if code is None:
        return None
    script = read_script(path, code_of(text))
    options = [option for source, tags in code if "parameters" in tags
               for option in _parameters(_python(source))]  # fmt: skip
    return Script(
        path,
        options=tuple(options),
        opens=script.opens,
        constants=script.constants,
        writes=script.writes,
        calls=script.calls,
        columns=script.columns,
        labels=script.labels,
    )


def code_of(text: str) -> str:
    """The notebook's code as one script; empty if it is not a notebook."""
    return "\n".join(_python(source) for source, _ in _cells(text) or ())


def _cells(text: str) -> list[tuple[str, list[str]]] | None:
    """The code cells with their tags."""
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell.get("cell_type") == "code"]
        return [(_source(cell), cell.get("metadata", {}).get("tags", [])) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _source(cell: Any) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _python(source: str) -> str:
    """Code without the magic commands of IPython."""
    lines = source.splitlines()
    return "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def _parameters(source: str) -> list[Option]:
    tree = parsed(source)
    if tree is None:
        return []
    found: list[Option] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, default = node.targets[0].id, _value(node.value)
            found.append(Option(name, name, default))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            default = _value(node.value) if node.value is not None else None
            found.append(Option(name, name, default, required=node.value is None))
    return found


def _value(node: ast.expr) -> Scalar | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return None
    return value if isinstance(value, (bool, int, float, str)) else None
