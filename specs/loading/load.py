"""From the text of an ml-pipeline.yaml to a pipeline, or to all that is wrong with it at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specs.loading.explain import describe, explain, locate, settle, shown
from specs.loading.problems import Problem, has_errors, in_order
from specs.loading.tree import Fault, Tree, YamlKey, YamlNode, YamlPath, parse
from specs.model import API_VERSION, Pipeline
from specs.schema import json_schema

_POINTER: Final = "version https://git-lfs.github.com/spec/"
MOST_PROBLEMS: Final = 100
"""Beyond this many, a file is not worth more words."""


@dataclass(frozen=True)
class LoadedSpec:
    """What a file says.

    `pipeline` is None when there is an error. `sketch` is then what is left of it without its
    wrong parts: `lint` looks at it, so that mistakes of meaning are told together with mistakes
    of form; nothing may run from it.
    """

    file: str
    tree: Tree
    pipeline: Pipeline | None
    sketch: Pipeline | None
    problems: tuple[Problem, ...]

    @property
    def text(self) -> str:
        """The source, for `render_text`."""
        return self.tree.text

    def position(self, path: Sequence[YamlKey]) -> tuple[int, int]:
        """Line and column, from 1, of `("steps", "train", "run")`, or of the nearest part of it."""
        return locate(self.tree, path)

    def names(self, *path: YamlKey) -> tuple[str, ...]:
        """The keys that the document has in the mapping at `path`, wrong ones included."""
        node = self.tree.root
        for key in path:
            node = node.children.get(key) if node is not None else None
        return tuple(str(key) for key in node.keys) if node is not None else ()

    def problem(
        self,
        code: str,
        path: Sequence[YamlKey],
        message: str,
        *,
        severity: Literal["error", "warning"] = "error",
        expected: str | None = None,
        nearest: str | None = None,
        at_key: bool = False,
        within: str = "",
    ) -> Problem:
        """A problem at a place of this file: a value, its key, or some text within the value."""
        line, column = locate(self.tree, path, key=at_key)
        if within:
            line, column = self._position_within(path, within) or (line, column)
        return Problem(
            severity, code, message, self.file, line, column, shown(path),
            expected=expected, nearest=nearest,
        )  # fmt: skip

    def _position_within(self, path: Sequence[YamlKey], text: str) -> tuple[int, int] | None:
        node = self.tree.root
        for key in path:
            node = node.children.get(key) if node is not None else None
        if node is None or text not in node.raw:
            return None
        # What is between the start and the text may be escaped or folded, but not by much.
        found = self.tree.text.find(text, node.start, node.start + 2 * len(node.raw) + 100)
        return self.tree.position(found) if found >= 0 else None


def load(content: str | bytes, file: str) -> LoadedSpec:
    """Read a spec. Never raises; `file` is the name that problems are told with."""
    tree, problems = mapping(content, file, f"a mapping that begins with apiVersion: {API_VERSION}")
    if tree.text.startswith(_POINTER):
        message = (
            "this is a Git LFS pointer, and the spec is read as git has it: keep it in git itself "
            f"(`git lfs untrack {file}`, then add and commit it again)"
        )
        return LoadedSpec(file, tree, None, None, (Problem("error", "pointer", message, file),))
    if tree.root is None or not isinstance(tree.root.plain, dict):
        return LoadedSpec(file, tree, None, None, in_order(problems))
    pipeline = sketch = None
    try:
        pipeline = sketch = Pipeline.model_validate(tree.root.plain)
    except ValidationError as error:
        errors = error.errors(include_url=False)[:MOST_PROBLEMS]
        problems += explain(errors, tree, file, json_schema())
        sketch = _without_wrong_parts(tree.root)
    if has_errors(problems):
        pipeline = None
    return LoadedSpec(file, tree, pipeline, sketch, shortened(in_order(problems)))


def mapping(content: str | bytes, file: str, expected: str) -> tuple[Tree, list[Problem]]:
    """The text as a tree, and why it cannot be read or is no mapping, as `expected` says."""
    tree = parse(content)
    problems = [_fault(fault, tree, file) for fault in tree.faults]
    if not problems and (tree.root is None or not isinstance(tree.root.plain, dict)):
        problems.append(_no_mapping(tree, file, expected))
    return tree, problems


def shortened(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The first of too many problems; errors before warnings, both in order of place."""
    if len(problems) <= MOST_PROBLEMS:
        return problems
    return tuple(sorted(problems, key=lambda p: p.severity != "error"))[:MOST_PROBLEMS]


def _fault(fault: Fault, tree: Tree, file: str) -> Problem:
    line, column = tree.position(fault.start)
    return Problem("error", fault.code, fault.message, file, line, column, expected=fault.expected)


def _no_mapping(tree: Tree, file: str, expected: str) -> Problem:
    if tree.root is None or tree.root.plain is None:
        return Problem("error", "empty", "the file is empty", file, expected=expected)
    return Problem(
        "error", "wrong-type", "the file is not a mapping", file,
        *tree.position(tree.root.start), found=describe(tree.root), expected=expected,
    )  # fmt: skip


_FILLERS: Final = {
    "apiVersion": API_VERSION,
    "kind": "MLPipeline",
    "metadata": {"name": "unnamed"},
}


def _without_wrong_parts(root: YamlNode) -> Pipeline | None:
    """Drop what is wrong, then what is incomplete without it, until the rest is a pipeline."""
    # Through JSON, so that what an alias shares is dropped in one place only.
    plain = json.loads(json.dumps(root.plain))
    for _ in range(10):
        try:
            return Pipeline.model_validate({**_FILLERS, **plain})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                _drop(plain, _wrong_part(root, detail))
    return None


def _wrong_part(root: YamlNode, error: ErrorDetails) -> YamlPath:
    if error["type"] == "missing":
        return settle(root, error["loc"][:-1])
    path = settle(root, error["loc"])
    # A list without one of its items would move the places of the others.
    return path[:-1] if path and isinstance(path[-1], int) else path


def _drop(plain: Any, path: YamlPath) -> None:
    for key in path[:-1]:
        try:
            plain = plain[key]
        except (KeyError, IndexError, TypeError):
            return
    if path and isinstance(plain, dict):
        plain.pop(path[-1], None)
