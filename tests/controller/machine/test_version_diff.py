"""How two versions differ, as on-call reads it."""

from typing import Any

from controller.machine.environments.version_diff import LONGEST, MOST, NAMES, differs
from controller.machine.pipelines.version import ModelVersion
from specs.digests import digest, short
from tests.controller.machine.kit import source, version


def other(*changes: tuple[str, Any], **files: str) -> ModelVersion:
    return version(2, *changes).model_copy(update={"source": source("c2", **files)})


def test_equal_versions_have_no_difference() -> None:
    assert differs(version(1), other()) == (
        "nothing: it was made from the same files, parameters and data",
    )


def test_a_changed_parameter_is_shown_with_both_values() -> None:
    assert differs(version(1), other(("params.depth", 7))) == ("params.depth: 6 → 7",)
    assert differs(version(1), other(("params.seed", 1))) == ("params.seed: none → 1",)
    assert differs(version(1), other(("params.unused", None))) == ("params.unused: 1 → none",)
    of_step = other(("steps.train.params", {"rate": 0.1}))
    assert differs(version(1), of_step) == ("params.train.rate: none → 0.1",)


def test_files_are_grouped_by_change_and_the_first_are_named() -> None:
    assert differs(version(1), other(train__py="new")) == ("files changed: train.py",)
    more = {f"features/f{i}__py": "new" for i in range(NAMES + 2)}
    shown = ", ".join(f"features/f{i}.py" for i in range(NAMES))
    assert differs(version(1), other(**more)) == (f"files new: {shown} and 2 more",)
    assert differs(other(**more), version(1)) == (f"files gone: {shown} and 2 more",)
    six = {f"features/f{i}__py": "new" for i in range(NAMES)}
    assert differs(version(1), other(**six)) == (f"files new: {shown}",)


def test_changed_data_is_shown_by_both_short_digests() -> None:
    new = other().model_copy(update={"datasets": {"numbers": digest("newer")}})
    was, now = short(digest("numbers")), short(digest("newer"))
    assert differs(version(1), new) == (f"data numbers: {was} → {now}",)


def test_of_many_differences_the_first_are_shown_and_the_rest_are_counted() -> None:
    lines = differs(version(1), other(("params", {f"p{i}": i for i in range(MOST + 1)})))
    assert len(lines) == MOST
    assert lines[-1] == "4 more"  # of eleven: nine that are new, and two that are gone
    more = other(*((f"params.p{i}", i) for i in range(MOST)))
    assert len(differs(version(1), more)) == MOST  # all of them are told
    (line,) = differs(version(1), other(("params.depth", "x" * 500)))
    assert len(line) <= LONGEST
