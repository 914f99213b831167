"""Workflow commands: escaped, errors first, and not more than GitHub shows."""

from specs.loading.annotations import MOST, WorkflowAnnotation, commands


def test_text_and_properties_cannot_break_out_of_their_place() -> None:
    given = WorkflowAnnotation(
        "error", "100% wrong\n::warning::not so", {"file": "a,b:c.py", "line": "3"}
    )

    assert commands([given], "it") == (
        "::error file=a%2Cb%3Ac.py,line=3::100%25 wrong%0A::warning::not so\n"
    )


def test_the_last_annotation_counts_those_that_github_would_drop() -> None:
    warnings = [
        WorkflowAnnotation("warning", f"w{number}", {"title": "t"}) for number in range(MOST)
    ]
    errors = [
        WorkflowAnnotation("error", f"e{number}", {"title": "t"}) for number in range(MOST + 5)
    ]

    lines = commands([*warnings, *errors], "the log").splitlines()

    assert [line.partition(" ")[0] for line in lines] == ["::error"] * MOST + ["::warning"] * MOST
    assert lines[MOST - 1] == "::error title=more::6 more are not shown here: see the log"
    assert lines[-1].endswith("::w9")
