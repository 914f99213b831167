"""Workflow commands: escaped, errors first, and no more than GitHub shows."""

from specs.loading.annotations import MOST, WorkflowAnnotation, commands


def test_text_and_properties_cannot_end_their_place() -> None:
    given = WorkflowAnnotation(
        "error", "100% wrong\n::warning::not so", {"file": "a,b:c.py", "line": "3"}
    )

    assert commands([given], "it") == (
        "::error file=a%2Cb%3Ac.py,line=3::100%25 wrong%0A::warning::not so\n"
    )


def test_of_more_than_github_shows_the_last_says_how_many_are_left() -> None:
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
