"""Three classes with words for labels, and folders that are columns, as a new user meets them."""

from pathlib import Path

from tests.scenarios.shapes import new_user
from tests.scenarios.world import run_git

PENGUIN = {"island": "Biscoe", "bill_length_mm": 46.1, "flipper_length_mm": 211}


def test_three_classes_come_from_a_clone_into_production(tmp_path: Path) -> None:
    with new_user("three-classes", tmp_path) as shape:
        assert len(shape.commands) == 7
        answer = shape.ask(PENGUIN)
        assert answer["species"] == "Gentoo"
        assert abs(sum(answer["scores"].values()) - 1) < 1e-9
        run_git(shape.work, "fetch", "-q", "origin", "+refs/notes/headgate:refs/notes/headgate")
        note = run_git(shape.work, "notes", "--ref=headgate", "show", "HEAD")
        assert note.splitlines()[1] == "## ✅ f1_macro 0.9268, the first model"
        assert "accuracy at least 0.8, each island" in note
        assert "170 rows" in note
