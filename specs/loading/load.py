"""From the text of an ml-pipeline.yaml to a pipeline, or to all its problems at once."""

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
"""The most problems that are reported of a file."""


@dataclass(frozen=True)
class LoadedSpec:
    """The content of a spec file, and its problems.

    `pipeline` is None if there is an error. `sketch` is then the pipeline without its invalid
    parts, for `lint`, so errors of meaning are reported together with errors of form. It must
    never be run.
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
        """Line and column, from 1, of `("steps", "train", "run")`, or of its nearest parent."""
        return locate(self.tree, path)

    def names(self, *path: YamlKey) -> tuple[str, ...]:
        """The keys of the mapping at `path` in the document, including invalid ones."""
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
        """A problem at a place in this file: a value, its key, or some text within the value."""
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
        # Escapes and folding may move the text, but not by much.
        found = self.tree.text.find(text, node.start, node.start + 2 * len(node.raw) + 100)
        return self.tree.position(found) if found >= 0 else None


def load(content: str | bytes, file: str) -> LoadedSpec:
    """Read a spec. Never raises; `file` is its name in problems."""
    tree, problems = mapping(content, file, f"a mapping that begins with apiVersion: {API_VERSION}")
    if tree.text.startswith(_POINTER):
        message = (
            "this is a Git LFS pointer, but the spec has to be in git itself: run `git lfs untrack "
            f"{file}`, then add and commit it again"
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
    """The text as a tree, and the problems if it cannot be read or is not a mapping; `expected`
    describes the mapping in words."""
    tree = parse(content)
    problems = [_fault(fault, tree, file) for fault in tree.faults]
    if not problems and (tree.root is None or not isinstance(tree.root.plain, dict)):
        problems.append(_no_mapping(tree, file, expected))
    return tree, problems


def shortened(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """At most `MOST_PROBLEMS`: if there are more, errors first, in order of place."""
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
    """Drop invalid parts, then parts that are incomplete without them, until the rest is valid."""
    # Copied through JSON, so that a part shared by an alias is dropped in one place only.
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
    # Dropping one item of a list would shift the places of the others.
    return path[:-1] if path and isinstance(path[-1], int) else path


def _drop(plain: Any, path: YamlPath) -> None:
    for key in path[:-1]:
        try:
            plain = plain[key]
        except (KeyError, IndexError, TypeError):
            return
    if path and isinstance(plain, dict):
        plain.pop(path[-1], None)
