"""What a reader's own copy of a commit holds: its files at their places, and what links lead to."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from controller.blobs.objects import COPY_UP_TO
from controller.executors.working_copy import copy_files, explain_missing, given_as_text, is_copy

FOLDER = "teams/churn"
FILES = {
    "teams/churn/train.py": "train",
    "teams/churn/other.py": "other",
    "teams/common/x.py": "x",
    "src/shared/features.py": "features",
    "src/shared/deep/more.py": "more",
    "src/secret.py": "secret",
}


def checkout(root: Path, links: Mapping[str, str]) -> Path:
    """A commit with these links, by path in the repository."""
    top = root / "checkout"
    for path, text in FILES.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    for path, leads in links.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).symlink_to(leads)
    return top


def there(copy: Path) -> set[str]:
    """The files that a copy holds."""
    return {
        (Path(where) / name).relative_to(copy).as_posix()
        for where, _, names in os.walk(copy)
        for name in names
        if not (Path(where) / name).is_symlink()
    }


def is_untouched(top: Path, files: Sequence[str], copy: Path) -> bool:
    """Whether it is as it was copied."""
    mode = stat.S_IMODE((top / FOLDER).stat().st_mode)  # made in the same way
    return is_copy(str(top), FOLDER, files, str(copy), mode)


def test_files_lie_where_they_are_in_the_repository_and_nothing_else_does(tmp_path: Path) -> None:
    top = checkout(tmp_path, {})
    inside = copy_files(top, FOLDER, ["train.py", "//src/shared/features.py"], tmp_path / "code")
    assert inside == tmp_path / "code" / FOLDER
    assert there(tmp_path / "code") == {"teams/churn/train.py", "src/shared/features.py"}
    assert (inside / "../../src/shared/features.py").read_text() == "features"


SHARED = {"src/shared/features.py", "src/shared/deep/more.py"}


@pytest.mark.parametrize(
    ("links", "read", "through", "brings"),
    [
        ({"link.py": "../../src/shared/features.py"}, "link.py", "link.py", {sorted(SHARED)[1]}),
        ({"link": "../../src/shared"}, "link", "link/features.py", SHARED),
        ({"link": "../../src/shared/"}, "link", "link/deep/more.py", SHARED),
        (
            {"a": "../../ways/b", "//ways/b": "../src/shared"},
            "a",
            "a/features.py",
            SHARED,
        ),
        ({"a": "../../ways/src/shared", "//ways": "."}, "a", "a/features.py", SHARED),
        (
            {"link": "../../src/shared", "//src/shared/x.py": "../../teams/common/x.py"},
            "link",
            "link/x.py",
            {*SHARED, "teams/common/x.py"},
        ),
        ({"//src/shared/back": "../../teams/churn"}, "//src/shared/back", "other.py", {"other"}),
        ({"top": "../.."}, "top", "top/src/secret.py", set(FILES)),
        ({"here": "."}, "here", "here/other.py", {"teams/churn/train.py", "teams/churn/other.py"}),
    ],
)
def test_a_link_brings_what_it_leads_to(
    tmp_path: Path, links: dict[str, str], read: str, through: str, brings: set[str]
) -> None:
    at = {p[2:] if p.startswith("//") else f"{FOLDER}/{p}": leads for p, leads in links.items()}
    top = checkout(tmp_path, at)
    inside = copy_files(top, FOLDER, ["train.py", read], tmp_path / "code")
    assert (inside / through).is_file()
    brought = there(tmp_path / "code") - {"teams/churn/train.py"}
    expected = {"teams/churn/other.py"} if brings == {"other"} else brings
    assert brought == expected - {"teams/churn/train.py"}
    assert is_untouched(top, ["train.py", read], tmp_path / "code")


@pytest.mark.parametrize("leads", ["/etc/hostname", "../../../outside", "nowhere", "link"])
def test_a_link_that_leads_nowhere_or_out_of_the_repository_brings_nothing(
    tmp_path: Path, leads: str
) -> None:
    (tmp_path / "outside").write_text("not of the repository")
    top = checkout(tmp_path, {f"{FOLDER}/link": leads})
    inside = copy_files(top, FOLDER, ["train.py", "link"], tmp_path / "deep" / "code")
    assert there(tmp_path / "deep" / "code") == {"teams/churn/train.py"}
    assert str((inside / "link").readlink()) == leads
    assert is_untouched(top, ["train.py", "link"], tmp_path / "deep" / "code")
    (inside / "link").unlink()
    (inside / "link").symlink_to("elsewhere")
    assert not is_untouched(top, ["train.py", "link"], tmp_path / "deep" / "code")


def test_a_copy_of_programs_large_files_and_empty_folders_is_known_until_one_is_changed(
    tmp_path: Path,
) -> None:
    top = checkout(tmp_path, {})
    (top / FOLDER / "train.py").chmod(0o755)
    (top / FOLDER / "large").write_bytes(b"x" * (COPY_UP_TO + 1))
    (top / FOLDER / "submodule").mkdir()
    files = ["train.py", "large", "submodule"]
    inside = copy_files(top, FOLDER, files, tmp_path / "code")
    assert is_untouched(top, files, tmp_path / "code")
    assert not is_untouched(top, files[:2], tmp_path / "code")
    assert not is_untouched(top, [*files, "other.py"], tmp_path / "code")
    (inside / "submodule" / "more").touch()
    assert not is_untouched(top, files, tmp_path / "code")
    (inside / "submodule" / "more").unlink()
    large = (inside / "large").read_bytes()
    (inside / "large").unlink()
    (inside / "large").write_bytes(large)
    assert not is_untouched(top, files, tmp_path / "code")


def test_what_is_missed_is_named_as_reads_would(tmp_path: Path) -> None:
    top = checkout(tmp_path, {f"{FOLDER}/link": "../../src/shared"})
    (tmp_path / "note").write_text(given_as_text(top, FOLDER, ["train.py", "link"]))
    assert "and //src/secret.py of the commit is not" in explain_missing(
        tmp_path / "note", "no secret.py"
    )
    assert "and other.py of the commit is not" in explain_missing(
        tmp_path / "note", "no module 'other'"
    )
    assert explain_missing(tmp_path / "note", "features.py has a fault") == "", (
        "the link brought it"
    )
