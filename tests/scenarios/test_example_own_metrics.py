"""A gate of numbers that a team measures itself, as a new user meets it."""

from pathlib import Path

from tests.scenarios.shapes import new_user
from tests.scenarios.world import run_git

ITEMS = [
    {"item": "a", "match": 0.1, "popular": 0.2, "fresh": 0.9},
    {"item": "b", "match": 0.9, "popular": 0.7, "fresh": 0.1},
]


def test_a_ranking_comes_from_a_clone_into_production(tmp_path: Path) -> None:
    with new_user("own-metrics", tmp_path) as shape:
        assert len(shape.commands) == 7
        assert shape.ask(ITEMS) == {"items": ["b", "a"]}
        run_git(shape.work, "fetch", "-q", "origin", "+refs/notes/headgate:refs/notes/headgate")
        note = run_git(shape.work, "notes", "--ref=headgate", "show", "HEAD")
        assert note.splitlines()[1].startswith("## ✅ metrics.ndcg_at_5 0.93")
        assert "they have no interval" in note
