"""The mirror, against real remotes: folders, file:// and authenticated HTTP."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from controller.git import Author, Mirror, Rejected, redact
from specs.digests import digest
from specs.failures import Failure, NeedsHuman, TryAgain
from tests.controller.git.counting import git_processes
from tests.controller.git.git_server import Person, run_git, serve_git

HEADGATE = Author("Headgate", "headgate@example.org")


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
def mirror(ada: Person, tmp_path: Path) -> Mirror:
    return Mirror(str(ada.remote), tmp_path / "mirror.git")


async def test_heads_follow_the_remote_without_a_fetch(ada: Person, mirror: Mirror) -> None:
    assert await mirror.heads() == {}
    first = ada.push({"a": "1"})
    second = ada.push({"a": "2"}, branch="topic/x")
    assert await mirror.heads() == {"main": first, "topic/x": second}
    assert await mirror.default_branch() == "main"


async def test_a_file_is_read_at_its_commit_and_not_at_another(ada: Person, mirror: Mirror) -> None:
    first = ada.push({"conf/a.yaml": "one"})
    assert await mirror.read(first, "conf/a.yaml") == b"one"
    second = ada.push({"conf/a.yaml": "two"})
    assert await mirror.read(second, "conf/a.yaml") == b"two", "fetched because it was asked for"
    assert await mirror.read(first, "conf/a.yaml") == b"one"
    assert await mirror.read(second, "conf/b.yaml") is None
    assert await mirror.read(second, "conf") is None, "a folder is no file"


async def test_the_tree_names_links_executables_and_submodules(ada: Person, mirror: Mirror) -> None:
    (ada.clone / "link").symlink_to("train é.py")
    first = ada.push({"train é.py": "x", "run.sh": "#!/bin/sh\n"})
    run_git(ada.clone, "update-index", "--chmod=+x", "run.sh")
    run_git(ada.clone, "update-index", "--add", "--cacheinfo", f"160000,{first},vendor/lib")
    run_git(ada.clone, "commit", "-q", "-m", "odd things")
    run_git(ada.clone, "push", "-q", "origin", "HEAD:main")
    tree = await mirror.files(ada.head("main"))
    blob = run_git(ada.clone, "rev-parse", "HEAD:train é.py")
    assert tree["train é.py"] == blob
    assert tree["run.sh"].startswith("exec:")
    assert tree["link"].startswith("symlink:")
    assert tree["vendor/lib"] == f"submodule:{first}"
    assert await mirror.read(ada.head("main"), "link") == b"x", "a link inside is followed"


async def test_a_name_that_is_no_text_is_one_that_keys_and_the_state_can_hold(
    ada: Person, mirror: Mirror
) -> None:
    (ada.clone / os.fsdecode(b"caf\xe9.py")).write_text("x")
    (ada.clone / "link").symlink_to(os.fsdecode(b"caf\xe9.py"))
    tree = await mirror.files(ada.push({"b.py": "y"}))
    assert tree.keys() >= {"caf\\xe9.py", "b.py"}
    assert digest(tree)
    assert tree["link"].count(":") == 2, "its entry covers what it leads to"


async def test_an_edit_of_what_a_link_leads_to_is_seen_at_the_link(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    (ada.clone / "held-out").symlink_to("shared")
    (ada.clone / "requirements.txt").symlink_to("conf/req.txt")
    first = await mirror.files(ada.push({"conf/req.txt": "1", "shared/a.csv": "1"}))
    second = await mirror.files(ada.push({"conf/req.txt": "2", "shared/a.csv": "1"}))
    sha = ada.push({"conf/req.txt": "2", "shared/a.csv": "2"})
    third = await mirror.files(sha)
    assert first["requirements.txt"] != second["requirements.txt"] == third["requirements.txt"]
    assert first["held-out"] == second["held-out"] != third["held-out"]
    laid_out = await mirror.materialise(sha, tmp_path / "trees")
    assert (laid_out / "held-out").readlink() == Path("shared")
    assert (laid_out / "requirements.txt").read_text() == "2"


async def test_a_blob_that_is_no_links_text_is_not_read_as_one(ada: Person, mirror: Mirror) -> None:
    ada.push({"a": "1"})
    blob = run_git(ada.clone, "hash-object", "-w", "--stdin", stdin=b"x/" * 10_000)
    run_git(ada.clone, "update-index", "--add", "--cacheinfo", f"120000,{blob},link")
    run_git(ada.clone, "commit", "-q", "-m", "A long link")
    run_git(ada.clone, "push", "-q", "origin", "HEAD:main")
    assert (await mirror.files(ada.head("main")))["link"] == f"symlink:{blob}"


async def test_history_tells_authors_trailers_and_paths(ada: Person, mirror: Mirror) -> None:
    ada.push({"a": "1"}, "First\n\nBecause.")
    second = ada.push({"b": "1"}, "Second: ä\n\nBody line\nmore\n\nHeadgate-Run: 12\nSigned: me")
    await mirror.fetch()
    info = await mirror.commit_info(second)
    assert (info.author, info.subject) == ("Ada", "Second: ä")
    assert info.trailers == {"Headgate-Run": "12", "Signed": "me"}
    assert info.body.startswith("Body line")
    assert [c.subject for c in await mirror.log("main")] == ["Second: ä", "First"]
    assert [c.subject for c in await mirror.log("main", ["a"])] == ["First"]
    assert [c.subject for c in await mirror.log(second, limit=1)] == ["Second: ä"]
    assert await mirror.log("nobody") == ()
    assert await mirror.is_ancestor(info.parents[0], second)
    assert not await mirror.is_ancestor(second, info.parents[0])


async def test_a_commit_is_exported_once_read_only_and_whole(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    (ada.clone / "sub").mkdir()
    (ada.clone / "sub" / "link").symlink_to("../train.py")
    sha = ada.push({"train.py": "x", "docs/a.md": "y", ".gitattributes": "docs export-ignore"})
    trees = tmp_path / "trees"
    done = await asyncio.gather(*(mirror.materialise(sha, trees) for _ in range(4)))
    assert set(done) == {trees / sha}
    assert (trees / sha / "sub" / "link").read_text() == "x"
    assert (trees / sha / "docs" / "a.md").read_text() == "y", "export-ignore hides nothing"
    assert (trees / sha / "train.py").stat().st_mode & 0o222 == 0
    assert (trees / sha).stat().st_mode & 0o222 == 0
    assert list(trees.iterdir()) == [trees / sha], "nothing half-made is left"


async def test_what_is_laid_out_is_what_was_committed_whatever_attributes_say(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    files = {"data.csv": "id,x\n1,1e+05\n", "run.sh": "#!/bin/sh\n", "train.py": "# $Id$\n"}
    (ada.clone / "link").symlink_to("data.csv")
    ada.push(files)
    run_git(ada.clone, "update-index", "--chmod=+x", "run.sh")
    attributes = (
        "data.csv working-tree-encoding=UTF-7\n",
        "*.sh text eol=crlf\n",
        "sub/*.txt crlf eol=crlf\n",
        "train.py ident filter=lfs\n",
    )
    (ada.clone / ".gitattributes").write_text("".join(attributes))
    (ada.clone / "sub").mkdir()
    (ada.clone / "sub" / "a.txt").write_text("a\n")
    run_git(ada.clone, "add", ".gitattributes", "sub")
    run_git(ada.clone, "commit", "-q", "-m", "Convert all")
    run_git(ada.clone, "push", "-q", "origin", "HEAD:main")
    laid_out = await mirror.materialise(ada.head("main"), tmp_path / "trees")
    found = {name: (laid_out / name).read_bytes().decode() for name in (*files, "sub/a.txt")}
    assert found == {**files, "sub/a.txt": "a\n"}
    assert (laid_out / "run.sh").stat().st_mode & 0o100
    assert (laid_out / "link").is_symlink()


@pytest.mark.parametrize("by_way_of", [None, "here"])
async def test_a_link_out_of_the_repository_is_refused(
    ada: Person, mirror: Mirror, tmp_path: Path, by_way_of: str | None
) -> None:
    (ada.clone / "d/e/f").mkdir(parents=True)
    (ada.clone / "d/e/here").symlink_to("../..")
    # By its letters d/e/f/../here/../x stays inside; on disk it does not.
    (ada.clone / "d/e/f/out").symlink_to("../here/../x" if by_way_of else "/etc/passwd")
    sha = ada.push({"a": "1"})
    with pytest.raises(NeedsHuman, match=r"d/e/f/out .* symbolic link that leads outside"):
        await mirror.materialise(sha, tmp_path / "trees")
    assert list((tmp_path / "trees").iterdir()) == []
    assert await mirror.read(sha, "d/e/f/out") is None


async def test_a_written_commit_keeps_the_rest_and_wins_only_an_unmoved_ref(
    ada: Person, mirror: Mirror
) -> None:
    base = ada.push({"a": "1", "b/c": "2"})
    files = {"b/c": None, "new/d": b"\x00bytes"}
    sha = await mirror.write_commit(base, files, "Write\n\nX: y\n", HEADGATE)
    await mirror.push("main", sha, base)
    assert set(await mirror.files(sha)) == {"a", "new/d"}
    assert await mirror.read(sha, "new/d") == b"\x00bytes"
    assert (await mirror.commit_info(sha)).parents == (base,)
    assert ada.head("main") == sha

    late = await mirror.write_commit(base, {"a": b"late"}, "Late", HEADGATE)
    with pytest.raises(Rejected):
        await mirror.push("main", late, base)
    with pytest.raises(Rejected):
        await mirror.push("main", late, None)
    assert ada.head("main") == sha


async def test_an_orphan_branch_can_be_created_once(ada: Person, mirror: Mirror) -> None:
    ada.push({"a": "1"})
    one = await mirror.write_commit(None, {"x": b"1"}, "One", HEADGATE)
    two = await mirror.write_commit(None, {"x": b"2"}, "Two", HEADGATE)
    await mirror.push("headgate/environments", one, None)
    with pytest.raises(Rejected):
        await mirror.push("headgate/environments", two, None)
    assert ada.head("headgate/environments") == one


async def test_a_hook_that_declines_needs_a_human(ada: Person, mirror: Mirror) -> None:
    base = ada.push({"a": "1"})
    hook = ada.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no entry >&2\nexit 1\n")
    hook.chmod(0o755)
    sha = await mirror.write_commit(base, {"a": b"2"}, "Two", HEADGATE)
    with pytest.raises(NeedsHuman, match="declined"):
        await mirror.push("main", sha, base)


async def test_a_remote_that_is_gone_may_come_back(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    sha = ada.push({"a": "1"})
    ada.remote.rename(tmp_path / "away")
    with pytest.raises(TryAgain, match=r"remote\.git is missing"):
        await mirror.heads()
    with pytest.raises(TryAgain):
        await mirror.fetch()
    (tmp_path / "away").rename(ada.remote)
    assert await mirror.heads() == {"main": sha}
    assert await mirror.read(sha, "a") == b"1"


async def test_a_folder_that_is_no_repository_needs_a_human(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    mirror = Mirror((tmp_path / "plain").as_uri(), tmp_path / "mirror.git")
    with pytest.raises(NeedsHuman, match="not a git repository"):
        await mirror.heads()
    with pytest.raises(NeedsHuman, match="not a git repository"):
        await mirror.ensure()


async def test_a_commit_that_nobody_has_is_named(ada: Person, mirror: Mirror) -> None:
    ada.push({"a": "1"})
    with pytest.raises(NeedsHuman, match="0123456789 is not in"):
        await mirror.read("0123456789" * 4, "a")
    with pytest.raises(NeedsHuman, match="0123456789 is not in"):
        await mirror.files("0123456789" * 4)


@pytest.mark.parametrize("damage", ["objects", "HEAD", "all"])
async def test_a_damaged_mirror_is_cloned_anew(
    ada: Person, mirror: Mirror, tmp_path: Path, damage: str
) -> None:
    sha = ada.push({"a": "1"})
    assert await mirror.read(sha, "a") == b"1"
    folder = tmp_path / "mirror.git"
    if damage == "objects":
        for path in (folder / "objects").rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                path.write_bytes(b"")
    elif damage == "HEAD":
        (folder / "HEAD").write_text("rubbish")
    else:
        shutil.rmtree(folder)
    assert await mirror.read(sha, "a") == b"1"
    await mirror.ensure()
    assert run_git(folder, "fsck", "--full") == ""


async def test_over_http_the_token_works_and_is_never_seen(ada: Person, tmp_path: Path) -> None:
    base = ada.push({"a": "1"})
    run_git(ada.remote, "config", "http.receivepack", "true")
    with serve_git(tmp_path / "ada", "bot", "s3cr:t") as address:
        mirror = Mirror(f"http://bot:s3cr%3At@{address}/remote.git", tmp_path / "m.git")
        assert await mirror.heads() == {"main": base}
        sha = await mirror.write_commit(base, {"a": b"2"}, "Two", HEADGATE)
        await mirror.push("main", sha, base)
        assert ada.head("main") == sha
        on_disk = [p.read_bytes() for p in (tmp_path / "m.git").rglob("*") if p.is_file()]
        assert not any(b"s3cr" in content for content in on_disk)

        wrong = Mirror(f"http://bot:wr0ng@{address}/remote.git", tmp_path / "w.git")
        with pytest.raises(NeedsHuman, match="refused access") as refused:
            await wrong.heads()
        assert "wr0ng" not in str(refused.value)
        with pytest.raises(NeedsHuman, match="not a git repository, or not readable"):
            await Mirror(f"http://bot:s3cr%3At@{address}/no.git", tmp_path / "n.git").heads()
    with pytest.raises(TryAgain, match="is unreachable") as gone:
        await mirror.heads()
    assert "s3cr" not in str(gone.value)


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "ext::sh -c touch% pwned", "", "a\nb"])
async def test_an_address_cannot_run_commands(tmp_path: Path, url: str) -> None:
    with pytest.raises(Failure):
        await Mirror(url, tmp_path / "m.git").heads()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["--output=x", "a..b", "a b", "x.lock", "a//b", "", "@{-1}"])
async def test_names_that_are_options_or_no_names_are_refused(mirror: Mirror, name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        await mirror.push(name, "0" * 40, None)
    with pytest.raises(ValueError, match="expected"):
        await mirror.log(name)
    with pytest.raises(ValueError, match="expected"):
        await mirror.files(name)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/config", "a/../b", "a\nb", ""])
async def test_paths_out_of_the_repository_are_refused(mirror: Mirror, path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        await mirror.write_commit(None, {path: b""}, "m", HEADGATE)
    with pytest.raises(ValueError, match="expected a path"):
        await mirror.read("0" * 40, path)


def test_credentials_are_struck_out_of_text() -> None:
    said = "fatal: unable to access 'https://bot:s3cret@host/x.git/': and ssh://me@h/y"
    assert redact(said) == "fatal: unable to access 'https://***@host/x.git/': and ssh://***@h/y"


async def test_a_commit_that_several_need_is_exported_once(
    ada: Person, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = ada.push({"a": "1"})
    await mirror.files(sha)
    with git_processes(monkeypatch) as started:
        trees = tmp_path / "trees"
        await asyncio.gather(*(mirror.materialise(sha, trees) for _ in range(8)))
    assert started == {"read-tree": 1, "--work-tree": 1}


async def test_the_refs_are_read_once_after_they_moved(
    ada: Person, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ada.push({"a": "1"})
    await mirror.fetch()
    with git_processes(monkeypatch) as started:
        for _ in range(3):
            assert await mirror.resolve("main") == first
            assert await mirror.resolve("headgate/environments") is None
    assert started == {"for-each-ref": 1}
    second = ada.push({"a": "2"})
    await mirror.fetch()
    assert await mirror.resolve("main") == second


async def test_what_was_pushed_needs_no_fetch_to_be_seen(
    ada: Person, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ada.push({"a": "1"})
    files = {f"f{number}": b"x" for number in range(20)}
    sha = await mirror.write_commit(base, files, "Write", HEADGATE)
    with git_processes(monkeypatch) as started:
        for ref in ("refs/notes/headgate", "headgate/environments"):
            await mirror.push(ref, sha, None)
            assert await mirror.tip(ref) == await mirror.resolve(ref) == sha
    assert started["fetch"] == 0
    with git_processes(monkeypatch) as started:
        await mirror.write_commit(sha, files, "Write again", HEADGATE)
    assert started == {"fast-import": 1}, "however many files it writes"


async def test_a_branch_that_is_gone_is_gone_from_the_mirror_once_its_tip_was_asked_for(
    ada: Person, mirror: Mirror
) -> None:
    base = ada.push({"a": "1"})
    await mirror.push("side", base, None)
    assert await mirror.resolve("side") == base
    run_git(ada.remote, "update-ref", "-d", "refs/heads/side")
    assert await mirror.tip("side") is None
    assert await mirror.resolve("side") is None
