"""PURE. Reads a Python script: its options, and what it opens, calls and writes.

The script is parsed and never run. Nothing is known of one that does not parse.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal

from controller.cli.write.drafts.values import Option, Script
from specs.base import Scalar

_READS = {
    "read_csv", "read_json", "read_excel", "read_table", "read_feather", "open", "loadtxt",
    "genfromtxt", "load", "scan_csv", "read_ndjson", "load_model",
}  # fmt: skip
"""Calls that read a single file. `read_parquet` and others also accept a folder."""
_WRITES = {
    "dump", "save", "save_model", "to_csv", "to_parquet", "to_json", "write_csv", "write_parquet",
    "savetxt", "export", "save_pretrained", "to_pickle", "write_text",
}  # fmt: skip
_LABELS = {"label", "target", "label_column", "target_column", "label_col", "target_col",
           "response", "outcome", "y"}  # fmt: skip
_APPS: Final[Mapping[str, Literal["asgi", "wsgi"]]] = {
    "FastAPI": "asgi", "Starlette": "asgi", "Litestar": "asgi", "Quart": "asgi",
    "Flask": "wsgi", "Bottle": "wsgi",
}  # fmt: skip
_LONGEST = 200
_SCORES = re.compile(r"(p|prob|proba|score)_$")
"""The prefix of columns with the scores of several classes: `f"p_{name}"`."""


def read_script(path: str, text: str) -> Script:
    """Read the script at `path`."""
    tree = parsed(text)
    if tree is None:
        return Script(path)
    script = Script(
        path,
        options=(*_argparse(tree), *_click(tree), *_argv(tree)),
        opens=frozenset(_opens(tree)),
        constants=tuple(dict.fromkeys(_constants(tree))),
        writes=tuple(dict.fromkeys(_writes(tree))),
        calls=frozenset(_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)),
        columns=tuple(dict.fromkeys(_columns(tree))),
        numbers=tuple(dict.fromkeys(_numbers(tree))),
        labels=tuple(dict.fromkeys(_labels(tree))),
        is_module=any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)),
        environ=tuple(dict.fromkeys(_environ(tree))),
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            framework = _APPS.get(_called(node.value))
            if framework and isinstance(node.targets[0], ast.Name):
                return replace(script, app=node.targets[0].id, framework=framework)
    return script


def read_scripts(path: str, text: str) -> list[Script]:
    """Read the script at `path`: as a whole, or each of its subcommands."""
    script = read_script(path, text)
    tree = parsed(text)
    if tree is None:
        return [script]
    subcommands = {**_subparsers(tree), **_click_group(tree)}
    return [
        replace(script, subcommand=name, options=tuple(options))
        for name, options in subcommands.items()
    ] or [script]


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None for a syntax error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in the user's code
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _called(node: ast.Call) -> str:
    return _last(node.func)


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in names:
            yield node


# -- options ---------------------------------------------------------------------------------


def _argparse(tree: ast.AST) -> Iterator[Option]:
    """The options of `add_argument` in argparse and compatible libraries."""
    if any(_calls(tree, "add_subparsers")):
        return  # each subcommand has its own
    for call in _calls(tree, "add_argument"):
        names = [name for name in map(_text, call.args) if name is not None]
        if names:
            yield _option(names, call)


def _subparsers(tree: ast.AST) -> dict[str, list[Option]]:
    """The options of each subcommand: `train = commands.add_parser("train")`."""
    found: dict[str, list[Option]] = {}
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name = _text(node.value.args[0]) if node.value.args else None
            if _called(node.value) == "add_parser" and name is not None:
                names[_last(node.targets[0])] = name
                found[name] = []
    for call in _calls(tree, "add_argument"):
        of = _last(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        texts = [text for text in map(_text, call.args) if text is not None]
        if of in names and texts:
            found[names[of]].append(_option(texts, call))
    return found


def _click_group(tree: ast.AST) -> dict[str, list[Option]]:
    """The options of each command in a click group: `@cli.command()`."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    groups = {node.name for node in functions for call in _decorators(node)
              if _called(call) == "group"}  # fmt: skip
    found: dict[str, list[Option]] = {}
    for node in functions:
        for call in _decorators(node):
            of = _last(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            if _called(call) == "command" and of in groups:
                said = _text(call.args[0]) if call.args else None
                found[said or node.name.replace("_", "-")] = list(_click_options(node))
    return found


def _decorators(node: ast.FunctionDef) -> list[ast.Call]:
    return [call for call in node.decorator_list if isinstance(call, ast.Call)]


def _click(tree: ast.AST) -> Iterator[Option]:
    """The options of the first click command."""
    for node in ast.walk(tree):
        options = list(_click_options(node)) if isinstance(node, ast.FunctionDef) else []
        if options:
            yield from options
            return


def _click_options(node: ast.FunctionDef) -> Iterator[Option]:
    """The options from `@click.option` and `@click.argument`, in order."""
    for call in _decorators(node):
        names = [name for name in map(_text, call.args) if name is not None]
        if names and _called(call) in ("option", "argument"):
            yield _option(names, call, argument=_called(call) == "argument")


def _option(names: list[str], call: ast.Call, *, argument: bool = False) -> Option:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    flags = [part for name in names for part in name.split("/") if part.startswith("-")]
    flag = max(flags, key=len, default="")
    bare = [name for name in names if not name.startswith("-")]
    dest = _text(given.get("dest")) or (bare[0] if bare else flag.lstrip("-"))
    default = _scalar(given.get("default"))
    required = given.get("required")
    by_place = not flag or argument
    is_required = (
        by_place and "default" not in given and _text(given.get("nargs")) not in ("?", "*")
    )
    return Option(
        flag,
        dest.replace("-", "_"),
        default,
        required=is_required or (isinstance(required, ast.Constant) and required.value is True),
        is_switch=_is_switch(names, given),
    )


def _is_switch(names: list[str], given: dict[str, ast.expr]) -> bool:
    action = given.get("action")
    said = _text(action) or (_last(action) if action is not None else "")
    is_flag = given.get("is_flag")
    return (
        said.startswith(("store_true", "store_false", "count", "help", "version", "Boolean"))
        or (isinstance(is_flag, ast.Constant) and is_flag.value is True)
        or any(name.startswith("--") and "/" in name for name in names)
    )


def _argv(tree: ast.AST) -> Iterator[Option]:
    """The arguments in `data = sys.argv[1]` and `data, out = sys.argv[1:3]`."""
    found: dict[int, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        for part in ast.walk(node.value):
            if isinstance(part, ast.Subscript) and _last(part.value) == "argv":
                found |= _placed(node.targets[0], part.slice)
    for place in sorted(found):
        yield Option("", found[place], required=True)


def _placed(target: ast.expr, where: ast.expr) -> dict[int, str]:
    """The names of arguments by position."""
    if isinstance(where, ast.Constant) and isinstance(where.value, int) and where.value > 0:
        name = _last(target)
        return {where.value: name.lower()} if name else {}
    if isinstance(where, ast.Slice) and isinstance(target, ast.Tuple):
        names = [_last(each) for each in target.elts]
        return {number: name.lower() for number, name in enumerate(names, 1) if name}
    return {}


def _scalar(node: ast.AST | None) -> Scalar | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _scalar(node.operand)
        return -value if isinstance(value, (int, float)) else None
    if isinstance(node, ast.Call) and _called(node) == "Path" and node.args:
        return _scalar(node.args[0])
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)):
        return node.value if abs(_size(node.value)) < float("inf") else None
    return None


def _size(value: Scalar) -> float:
    return value if isinstance(value, float) else 0.0


# -- what it does with files -----------------------------------------------------------------


def _opens(tree: ast.AST) -> Iterator[str]:
    """The names of the options that are passed to a call that reads one file."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = _called(call)
        if name in ("read_text", "read_bytes", "open") and isinstance(call.func, ast.Attribute):
            yield _inside(call.func.value)
        if name in _READS and call.args:
            yield _inside(call.args[0])


def _inside(node: ast.expr) -> str:
    """`data` in `args.data`, `data`, `Path(args.data)` and `args["data"]`."""
    if isinstance(node, ast.Call) and node.args and _called(node) in ("Path", "str", "open"):
        return _inside(node.args[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _inside(node.func.value)
    if isinstance(node, ast.Subscript):
        return _text(node.slice) or ""
    return _last(node)


def _writes(tree: ast.AST) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        if _called(call) in _WRITES:
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            yield from (text for value in values for text in _path_texts(value) if _is_path(text))
        if _called(call) == "open" and any((_text(arg) or "").startswith("w") for arg in call.args):
            yield from (text for text in _path_texts(call.args[0]) if _is_path(text))
        if _called(call) == "write_text" and isinstance(call.func, ast.Attribute):
            yield from (text for text in _path_texts(call.func.value) if _is_path(text))


def _path_texts(node: ast.expr) -> Iterator[str]:
    """`x` in "x", Path("x") and open("x", "w")."""
    text = _text(node)
    if text is not None:
        yield text
    if isinstance(node, ast.Call) and node.args and _called(node) in ("Path", "open", "str"):
        yield from _path_texts(node.args[0])


def _is_path(text: str) -> bool:
    _, dot, ending = text.rpartition("/")[2].rpartition(".")
    return bool(dot) and 1 <= len(ending) <= 8 and ending.isalnum() and len(text) < _LONGEST


def _constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        text = _text(node)
        if text and len(text) < _LONGEST and "\n" not in text:
            yield text


def _environ(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _last(node.value) == "environ":
            yield _text(node.slice) or ""
        if isinstance(node, ast.Call) and node.args:
            of_environ = isinstance(node.func, ast.Attribute) and (
                _last(node.func.value) == "environ" and node.func.attr == "get"
            )
            if of_environ or _called(node) == "getenv":
                yield _text(node.args[0]) or ""


# -- tables ----------------------------------------------------------------------------------


def _columns(tree: ast.AST) -> Iterator[str]:
    """The column names in `DataFrame({...})`, `writerow([...])` and `fieldnames=[...]`."""
    names = {
        _last(node.targets[0]): text
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and (text := _text(node.value)) is not None
    }

    def named(node: ast.expr | None) -> Iterator[str]:
        text = _text(node) if node is not None else None
        if text is None and isinstance(node, (ast.Name, ast.Attribute)):
            text = names.get(_last(node), f"?{_last(node)}")
        if text:
            yield text

    for call in _calls(tree, "DataFrame", "from_dict", "Table", "table", "from_pydict"):
        keys = [key for arg in call.args if isinstance(arg, ast.Dict) for key in arg.keys]
        yield from (name for key in keys for name in named(key))
    for call in _calls(tree, "writerow", "DictWriter"):
        lists = [*call.args, *(k.value for k in call.keywords if k.arg == "fieldnames")]
        for each in lists:
            items = each.elts if isinstance(each, (ast.List, ast.Tuple)) else []
            names_of = [_text(item) or _prefixed(item) for item in items]
            if any(names_of) and None not in names_of:
                yield from filter(None, names_of)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
            begun = _text(node.values[0])
            if begun and _SCORES.match(begun):
                yield f"{begun}*"


def _prefixed(item: ast.expr) -> str | None:
    """`p_*` in `*(f"p_{name}" for name in ...)`: columns with a common prefix."""
    if not isinstance(item, ast.Starred):
        return None
    for part in ast.walk(item):
        if isinstance(part, ast.JoinedStr):
            return f"{_text(part.values[0]) or ''}*"
    return "*"


def _numbers(tree: ast.AST) -> Iterator[str]:
    """The keys in `json.dump({...})`, also if the dictionary is a variable."""
    named = {_last(node.targets[0]): node.value for node in ast.walk(tree)
             if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)}  # fmt: skip
    for call in _calls(tree, "dump", "dumps"):
        for arg in call.args[:1]:
            found = named.get(_last(arg)) if isinstance(arg, ast.Name) else arg
            keys = found.keys if isinstance(found, ast.Dict) else []
            yield from (text for key in keys if (text := _text(key)) and text.isidentifier())


def _labels(tree: ast.AST) -> Iterator[str]:
    """The label in `LABEL = "late"`, `y = frame["late"]` or the default of `--target`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _last(node.targets[0]).lower() in _LABELS:
            text = _text(node.value)
            if text is None:
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Subscript):
                        text = text or _text(part.slice)
            if text:
                yield text
    for call in _calls(tree, "add_argument", "option"):
        option = _option([name for name in map(_text, call.args) if name] or [""], call)
        if option.dest in _LABELS and isinstance(option.default, str):
            yield option.default
