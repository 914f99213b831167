"""PURE. The expectations of a contract as they are collected, with the problems and what cannot be
checked, each at its place in the file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specs.figures import clip
from specs.loading.explain import locate, nearest, shown
from specs.loading.problems import Problem, in_order
from specs.loading.tree import Tree, YamlPath
from validators.data.suites.suite import Expectation, Severity, Suite


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class ContractDraft:
    """Collects while a contract is read."""

    tree: Tree
    file: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """Those of the spec."""
    expectations: list[Expectation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unchecked: list[Problem] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    """The column of each property, by its name in the contract."""
    texts: set[str] = field(default_factory=set)
    """The columns that are text."""

    def expect(
        self, kind: str, kwargs: Mapping[str, Any], path: YamlPath, severity: Severity = "critical"
    ) -> None:
        """One more expectation, unless there is an equal one.

        It passes if all values are null: that is what `required` is about.
        """
        where = self._place(path)
        self.add(Expectation(f"expect_{kind}", dict(kwargs), severity, *where, may_be_empty=True))

    def add(self, one: Expectation) -> None:
        """An expectation that was read elsewhere, unless there is an equal one."""
        known = ((other.type, other.kwargs, other.severity) for other in self.expectations)
        if (one.type, one.kwargs, one.severity) not in known:
            self.expectations.append(one)

    def wrong(
        self, message: str, path: YamlPath, found: object = None, expected: str | None = None
    ) -> None:
        """An error of the contract."""
        shown_value = None if found is None else clip(str(found), 60)
        self.problems.append(
            Problem(
                "error", "contract", message, self.file, *self._place(path), shown(path),
                found=shown_value, expected=expected,
            )
        )  # fmt: skip

    def skip(self, what: str, path: YamlPath, meant: str | None = None) -> None:
        """Something that the contract asks and that is not checked."""
        message = f"not checked: {clip(what, 160)}"
        self.unchecked.append(
            Problem(
                "warning", "not-checked", message, self.file, *self._place(path), shown(path),
                nearest=meant,
            )
        )  # fmt: skip

    def skip_unknown(
        self, mapping: Mapping[str, Any], known: Sequence[str], path: YamlPath
    ) -> None:
        """The keys that the standard does not have there: they may be misspelt."""
        for key in mapping:
            if key not in known:
                self.skip(
                    f"the unknown key `{clip(str(key), 40)}`",
                    (*path, key),
                    nearest(str(key), known),
                )

    def suite(self) -> Suite:
        """What was collected."""
        return Suite(
            tuple(self.expectations),
            in_order(self.problems),
            in_order(self.unchecked),
            frozenset(self.texts),
        )

    def _place(self, path: YamlPath) -> tuple[int, int]:
        return locate(self.tree, path) if self.tree.root else (1, 1)
