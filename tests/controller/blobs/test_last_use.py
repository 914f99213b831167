"""Use and deletion of what lies on the disk: one of both comes first."""

import time
from pathlib import Path

from controller.blobs.last_use import discard, discard_all, use
from controller.executors.requirements import Requirements
from controller.executors.virtualenvs import LOGS, Virtualenvs


def later(path: Path) -> float:
    """A moment after the last use, by the file system's clock."""
    last = path.lstat().st_ctime
    moment = path.with_name("moment")
    while True:
        time.sleep(0.002)
        moment.touch()
        if (now := moment.stat().st_ctime) > last:
            moment.unlink()
            return now


def test_what_was_used_since_stays_and_keeps_its_times(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("content")
    written = folder.stat().st_mtime_ns
    began = later(folder)
    assert use(folder)
    assert not discard(folder, began)
    assert folder.stat().st_mtime_ns == written
    assert discard(folder, later(folder))
    assert not use(folder)
    assert not discard(folder, time.time() + 60)
    assert list(tmp_path.iterdir()) == []


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert discard(tmp_path / "link", later(tmp_path / "link"))
    assert (tmp_path / "there").is_dir()


def test_a_sealed_folder_goes_and_names_that_are_kept_stay(tmp_path: Path) -> None:
    for name in ("sealed", "kept", ".gone-in-the-middle"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner").chmod(0o555)
        (tmp_path / name).chmod(0o555)
    assert discard_all(tmp_path, time.time() + 60, {"kept"}) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "kept" / "inner").chmod(0o755)
    (tmp_path / "kept").chmod(0o755)
    assert discard_all(tmp_path / "missing", time.time()) == 0


async def test_environments_go_unless_they_are_still_wanted(tmp_path: Path) -> None:
    virtualenvs = Virtualenvs(tmp_path / "environments")
    bare, other = Requirements(""), Requirements("# nothing but a word\n")
    wanted = await virtualenvs.get(bare, None)
    old = await virtualenvs.get(other, None)
    assert virtualenvs.sweep([bare.name], time.time() - 3600) == 0, "both were used just now"
    assert virtualenvs.sweep([bare.name], time.time() + 3600) == 1
    assert virtualenvs.ready(bare, None) == wanted
    assert (wanted.environment / "bin" / "python").exists()
    assert not old.environment.exists()
    left = {path.name for path in entries(tmp_path / "environments")} - {LOGS}
    assert len(left) == 2, "the link that is wanted, its folder"
    again = await virtualenvs.get(other, None)
    assert (again.environment / "bin" / "python").exists()


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())
