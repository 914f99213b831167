"""A team's clone with a pipeline whose data lies in the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.scenarios.world import run_git

HEADGATE = str(Path(sys.executable).parent / "headgate")


def clone(root: Path, pipeline: Path, **data: str) -> Path:
    """A repository with the pipeline and its data committed; `data` has the objects by name."""
    work = root / "work"
    shutil.copytree(pipeline, work)
    (work / "data").mkdir()
    for name, content in data.items():
        (work / "data" / f"{name}.csv").write_text(content)
    change(work, "ml-pipeline.yaml", "file://BUCKET/*.csv", "data/*.csv")
    run_git(root, "init", "-q", "-b", "main", str(work))
    commit(work, "Add the pipeline")
    return work


def change(work: Path, name: str, old: str, new: str) -> None:
    """Replace one text of a file."""
    text = (work / name).read_text()
    assert old in text
    (work / name).write_text(text.replace(old, new))


def commit(work: Path, subject: str) -> str:
    """Commit everything."""
    run_git(work, "add", "-A")
    run_git(work, "commit", "-q", "-m", subject)
    return run_git(work, "rev-parse", "HEAD")


def headgate(work: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A command as a person types it, without their settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HEADGATE_", "GITHUB_"))}
    return subprocess.run(
        [HEADGATE, *arguments],
        cwd=work,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
