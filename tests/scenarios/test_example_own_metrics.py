"""A gate of numbers that a team measures itself, as a new user meets it."""

import time
from pathlib import Path

from tests.scenarios.shapes import PATIENCE, Shape, new_user
from tests.scenarios.world import git_or_none, run_git

ITEMS = [
    {"item": "a", "match": 0.1, "popular": 0.2, "fresh": 0.9},
    {"item": "b", "match": 0.9, "popular": 0.7, "fresh": 0.1},
]


def test_a_ranking_comes_into_production_and_a_worse_one_does_not(tmp_path: Path) -> None:
    with new_user("own-metrics", tmp_path) as shape:
        assert len(shape.commands) == 7
        assert shape.ask(ITEMS) == {"items": ["b", "a"]}
        first = shape.pointer()
        said = verdict(shape)
        assert said.splitlines()[1].startswith("## ✅ metrics.ndcg_at_5 0.93")
        assert "they have no interval" in said

        spec = shape.work / "ml-pipeline.yaml"
        spec.write_text(
            spec.read_text().replace("--out {outputs.m", "--rounds 0 --out {outputs.m", 1)
        )
        run_git(shape.work, "commit", "-qam", "Train less")
        run_git(shape.work, "push", "-q")
        said = verdict(shape)
        assert "metrics.ndcg_at_5 not worse than baseline by 0.01" in said
        assert "the team's own number, without an interval" in said
        assert "stopped" in said.splitlines()[1]
        assert shape.pointer() == first


def verdict(shape: Shape) -> str:
    """The report on the newest commit, once its gates have said what they say."""
    commit = run_git(shape.work, "rev-parse", "HEAD").strip()
    deadline = time.monotonic() + PATIENCE
    while "model gate" not in (said := note_on(shape, commit)):
        assert time.monotonic() < deadline, f"waited in vain for a verdict:\n{said}"
        time.sleep(0.1)
    return said


def note_on(shape: Shape, commit: str) -> str:
    return git_or_none(shape.remote, "notes", "--ref=headgate", "show", commit) or ""
