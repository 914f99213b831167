"""The environments branch: its files, its commits, and who wins when several write."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.git import Mirror
from controller.git.compare_and_swap import HEADGATE, RetryTiming
from controller.git.environment_file import Invalid, message_of, parse, to_yaml
from controller.git.environments import BRANCH, PROPOSALS, Environments, is_ours, proposed_place
from controller.machine.environments.file import (
    EnvironmentFile,
    LastChange,
    NamedModel,
    QuarantineEntry,
    path_of,
)
from specs.digests import digest
from specs.failures import TryAgain
from tests.controller.git.git_server import Person, run_git
from validators.verdict import Verdict

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def release(
    version: int, pipeline: str = "flight-delay", environment: str = "production"
) -> EnvironmentFile:
    return EnvironmentFile(
        pipeline=pipeline,
        environment=environment,
        model=NamedModel(
            version=version,
            digest=digest(f"model {version}".encode()),
            run=f"{pipeline}-{version}",
            commit="0123456789" * 4,
            datasets={"flights": digest(b"flights")},
        ),
        verdicts={"data": Verdict.PASS, "model": Verdict.WARN},
        evidence=(
            {
                "signal": "errors",
                "verdict": "PASS",
                "value": 0.00123456789,
                "limit": 0.005,
                "n": 900,
            },
        ),
        quarantine=(QuarantineEntry(digest=digest(b"bad"), version=1, reason="p99: up", since=AT),),
        changed=LastChange(by="headgate", reason="canary passed", at=AT),
    )


def mirror_of(remote: Path, folder: Path) -> Mirror:
    return Mirror(str(remote), folder / "mirror.git")


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    ada = Person(tmp_path / "ada")
    ada.push({"README": "code"})
    return ada


# -- the file ---------------------------------------------------------------------------------


def test_a_file_reads_back_and_says_how_to_steer() -> None:
    file = release(3)
    text = to_yaml(file)
    assert text.startswith("# What production runs for flight-delay.")
    assert "git revert" in text
    assert parse(text, file.path) == file
    assert to_yaml(parse(text, file.path)) == text
    assert file.is_quarantined(digest(b"bad"))
    assert not file.is_quarantined(digest(b"good"))


words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(
    evidence=st.lists(st.dictionaries(words, json_values, max_size=4), max_size=3),
    reason=st.text(max_size=60),
)
def test_whatever_the_evidence_and_the_reason_they_read_back(
    evidence: list[dict[str, object]], reason: str
) -> None:
    file = release(3).model_copy(update={"changed": LastChange(by="ada", reason=reason, at=AT)})
    file = EnvironmentFile.model_validate(file.model_dump(by_alias=True) | {"evidence": evidence})
    assert parse(to_yaml(file), file.path) == file


def test_a_promotion_changes_only_the_lines_that_differ() -> None:
    old, new = to_yaml(release(3)).splitlines(), to_yaml(release(4)).splitlines()
    differing = [a for a, b in zip(old, new, strict=True) if a != b]
    assert [line.split(":")[0].strip() for line in differing] == ["version", "digest", "run"]


@pytest.mark.parametrize(
    ("edit", "line", "path", "says"),
    [
        (("version: 3", "version: latest"), "version: latest", "model.version", "valid integer"),
        (("\nmodel:", "\nmodell:"), "modell:", "modell", "Extra inputs"),
        (("digest: sha256:", "digest: md5:"), "digest: md5:", "model.digest", "pattern"),
        (("data: PASS", "data: GREAT"), "data: GREAT", "verdicts.data", "'SKIPPED', 'PASS'"),
        (("kind: Environment", "kind: Pod"), "kind: Pod", "kind", "'Environment'"),
        (("ironment: production", "ironment: staging"), "#", "", "belongs to staging/"),
        (("\nmodel:", "\nmodel: {"), "", "", ""),
        (("\nmodel:", "\nkind: x\nmodel:"), "kind: x", "", "duplicate key"),
        (("by: headgate", "by: &a x\n  reason: *a"), "reason: *a", "", "aliases"),
        (("by: headgate", "by: !!python/object/apply:os.system [ls]"), "by: !!", "changed.by", ""),
    ],
)
def test_a_bad_edit_is_named_with_its_line(
    edit: tuple[str, str], line: str, path: str, says: str
) -> None:
    text = to_yaml(release(3)).replace(*edit, 1)
    with pytest.raises(Invalid) as refused:
        parse(text, path_of("production", "flight-delay"))
    problem = refused.value.problems[0]
    assert problem.file == "production/flight-delay.yaml"
    assert says in problem.message
    assert problem.path == path
    assert text.splitlines()[problem.line - 1].strip().startswith(line)


@pytest.mark.parametrize("text", ["", "- a", "x", b"\xff\xfe", "[" * 5000, "a: b\n" * 100_000])
def test_what_is_no_such_file_at_all_is_invalid(text: str | bytes) -> None:
    with pytest.raises(Invalid):
        parse(text, "production/flight-delay.yaml")


def test_the_commit_message_explains_itself() -> None:
    assert message_of(release(3), "promote v3 to production", "a1") == (
        "flight-delay: promote v3 to production\n"
        "\n"
        "canary passed\n"
        "\n"
        f"Runs v3 ({digest(b'model 3')[7:19]})\n"
        "  of commit 0123456789, run flight-delay-3\n"
        f"  on flights {digest(b'flights')[7:19]}\n"
        "\n"
        "Gates\n"
        "  data: PASS\n"
        "  model: WARN\n"
        "\n"
        "Evidence\n"
        "  errors: verdict PASS, value 0.00123457, limit 0.005, n 900\n"
        "\n"
        "Headgate-Action: a1\n"
        "Headgate-Pipeline: flight-delay\n"
        "Headgate-Environment: production\n"
        "Headgate-Run: flight-delay-3\n"
    )


# -- the branch -------------------------------------------------------------------------------


async def test_the_first_release_makes_an_orphan_branch(ada: Person, tmp_path: Path) -> None:
    environments = Environments(mirror_of(ada.remote, tmp_path))
    assert await environments.head() is None
    assert await environments.read("production", "flight-delay") is None
    assert await environments.history("production", "flight-delay") == ()
    write = environments.write
    sha = await write(lambda _: release(1), "production", "flight-delay", "promote v1", "a1")
    assert await environments.head() == sha == ada.head(BRANCH)
    assert await environments.read("production", "flight-delay") == release(1)
    (commit,) = await environments.history("production", "flight-delay")
    assert commit.parents == ()
    assert commit.subject == "flight-delay: promote v1"
    assert commit.trailers["Headgate-Action"] == "a1"
    assert is_ours(commit)


async def test_owing_a_commit_twice_writes_it_once(ada: Person, tmp_path: Path) -> None:
    environments = Environments(mirror_of(ada.remote, tmp_path))

    async def write(version: int, action: str) -> str:
        return await environments.write(
            lambda _: release(version), "production", "flight-delay", f"promote v{version}", action
        )

    first = await write(1, "a1")
    second = await write(2, "a2")
    assert await write(1, "a1") == first, "done before the other, and not done again"
    after_a_crash = Environments(mirror_of(ada.remote, tmp_path / "elsewhere"))
    await after_a_crash.write(
        lambda _: release(2), "production", "flight-delay", "promote v2", "a2"
    )
    assert await environments.head() == second
    assert len(await environments.history("production", "flight-delay")) == 2
    assert await environments.read("production", "flight-delay", first) == release(1)


async def test_a_human_push_in_between_survives_and_is_seen(ada: Person, tmp_path: Path) -> None:
    environments = Environments(mirror_of(ada.remote, tmp_path), backoff=RetryTiming(no_sleep))
    await environments.write(lambda _: release(1), "production", "flight-delay", "one", "a1")
    seen: list[EnvironmentFile | None] = []

    def change(present: EnvironmentFile | Invalid | None) -> EnvironmentFile:
        assert not isinstance(present, Invalid)
        seen.append(present)
        if len(seen) == 1:  # just before Headgate pushes, Ada does
            run_git(ada.clone, "fetch", "-q", "origin", BRANCH)
            run_git(ada.clone, "checkout", "-q", "FETCH_HEAD")
            pinned = to_yaml(release(7)).replace("canary passed", "pinned by Ada")
            notes = {"production/flight-delay.yaml": pinned, "NOTES.md": "mine"}
            ada.push(notes, "Pin v7", BRANCH)
        return release(8)

    await environments.write(change, "production", "flight-delay", "eight", "a2")
    assert [file.model.version for file in seen if file and file.model] == [1, 7]
    history = await environments.history("production", "flight-delay")
    assert [commit.subject for commit in history] == [
        "flight-delay: eight",
        "Pin v7",
        "flight-delay: one",
    ]
    assert [is_ours(commit) for commit in history] == [True, False, True]
    mirror = mirror_of(ada.remote, tmp_path)
    assert await mirror.read(ada.head(BRANCH), "NOTES.md") == b"mine"


async def test_a_revert_or_a_cherry_pick_by_a_human_is_the_humans(
    ada: Person, tmp_path: Path
) -> None:
    environments = Environments(mirror_of(ada.remote, tmp_path))
    for version in (1, 2):
        await environments.write(
            lambda _, version=version: release(version),  # type: ignore[misc]  # bound at once
            "production", "flight-delay", f"promote v{version}", f"a{version}",
        )  # fmt: skip
    run_git(ada.clone, "fetch", "-q", "origin", BRANCH)
    run_git(ada.clone, "checkout", "-q", "FETCH_HEAD")
    run_git(ada.clone, "revert", "--no-edit", "HEAD")
    run_git(ada.clone, "cherry-pick", "HEAD~1")
    run_git(ada.clone, "push", "-q", "origin", f"HEAD:{BRANCH}")
    again, revert, *ours = await environments.history("production", "flight-delay")
    assert await environments.read("production", "flight-delay", revert.sha) == release(1)
    assert await environments.read("production", "flight-delay", again.sha) == release(2)
    assert not is_ours(revert)
    assert not is_ours(again)
    assert all(is_ours(commit) for commit in ours)


_WRITER = """
import asyncio, sys
from pathlib import Path
from controller.machine.environments.file import EnvironmentFile
from controller.git.environments import Environments
from controller.git import Mirror

async def main(remote, folder, pipeline):
    environments = Environments(Mirror(remote, Path(folder) / "mirror.git"))
    for number in range(4):
        file = EnvironmentFile(pipeline=pipeline, environment="production")
        await environments.write(
            lambda _: file, "production", pipeline, f"turn {number}", f"{pipeline}/{number}"
        )

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_controllers_at_once_lose_nothing(ada: Person, tmp_path: Path) -> None:
    names = ("flight-delay", "fares")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(ada.remote), str(tmp_path / name), name],
            cwd=Path(__file__).parents[3],
        )
        for name in names
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0]
    log = run_git(ada.remote, "log", "--format=%(trailers:key=Headgate-Action,valueonly)", BRANCH)
    assert sorted(log.split()) == sorted(f"{name}/{n}" for name in names for n in range(4))
    tree = run_git(ada.remote, "ls-tree", "-r", "--name-only", BRANCH)
    assert tree.split() == ["production/fares.yaml", "production/flight-delay.yaml"]


async def test_a_branch_that_always_moves_is_given_up_for_now(ada: Person, tmp_path: Path) -> None:
    environments = Environments(
        mirror_of(ada.remote, tmp_path), backoff=RetryTiming(no_sleep, lambda: 0.5)
    )

    def change(_: EnvironmentFile | Invalid | None) -> EnvironmentFile:
        ada.push({"x": "1"}, "again", BRANCH)
        return release(1)

    with pytest.raises(TryAgain, match="pushed to 12 times"):
        await environments.write(change, "production", "flight-delay", "never", "a1")


async def test_a_broken_file_is_invalid_until_somebody_mends_it(
    ada: Person, tmp_path: Path
) -> None:
    environments = Environments(mirror_of(ada.remote, tmp_path))
    ada.push({"production/flight-delay.yaml": "model: ["}, "oops", BRANCH)
    with pytest.raises(Invalid, match=r"production/flight-delay\.yaml:1"):
        await environments.read("production", "flight-delay")
    ada.push({"production/flight-delay.yaml": to_yaml(release(2))}, "mend", BRANCH)
    assert await environments.read("production", "flight-delay") == release(2)


def test_the_branch_of_a_proposal_says_which_environment_it_is_for() -> None:
    place = proposed_place(f"{PROPOSALS}flight-delay-2-production-31")
    assert place == "flight-delay-2/production"
    for other in ("flight-delay-production-31", f"{PROPOSALS}mine", f"{PROPOSALS}a-production-b"):
        assert proposed_place(other) is None


async def test_the_past_of_a_file_is_each_commit_with_what_it_said(
    ada: Person, tmp_path: Path
) -> None:
    mirror = mirror_of(ada.remote, tmp_path)
    branch = Environments(mirror, backoff=RetryTiming(sleep=no_sleep))
    for number in (1, 4, 2):
        file = release(number)
        await branch.write(lambda _, f=file: f, "production", "flight-delay", "say", f"w{number}")  # type: ignore[misc]  # bound in the loop
    tip = await branch.head()
    assert tip is not None
    said = await branch.past("production", "flight-delay", tip)
    assert [one.file.model.version for one in said if one.file and one.file.model] == [2, 4, 1]
    assert all(is_ours(one.commit) for one in said)
    assert await branch.highest("production", "flight-delay") == 4
    assert await branch.highest("staging", "flight-delay") == 0
    assert await branch.named() == {"flight-delay/production"}
    since = await mirror.log(tip, without=said[-1].commit.sha)
    assert [one.sha for one in since] == [one.commit.sha for one in said[:-1]]


async def test_a_commit_that_removed_the_file_or_broke_it_said_nothing(
    ada: Person, tmp_path: Path
) -> None:
    mirror = mirror_of(ada.remote, tmp_path)
    path = path_of("production", "flight-delay")
    tip = None
    for text in (to_yaml(release(3)).encode(), b"model: [", None):
        tip = await mirror.write_commit(tip, {path: text}, "by hand", HEADGATE)
    assert tip is not None
    said = await Environments(mirror).past("production", "flight-delay", tip)
    assert [one.file is not None for one in said] == [False, False, True]


async def test_the_environments_whose_file_moved_are_those_that_some_commit_on_the_way_touched(
    ada: Person, tmp_path: Path
) -> None:
    mirror = mirror_of(ada.remote, tmp_path)
    branch = Environments(mirror)
    text = to_yaml(release(1))

    async def pushed(files: dict[str, str | None]) -> str:
        sha = ada.push(files, "by hand", BRANCH)
        await mirror.fetch()
        return sha

    first = await pushed({"production/mean.yaml": text, "staging/mean.yaml": text})
    assert await branch.moved(None, first) == await branch.places(first)
    assert await branch.places(first) == {"mean/production", "mean/staging"}
    await pushed({"production/other.yaml": text, "NOTES.md": "mine"})
    last = await pushed({"production/other.yaml": None})
    assert await branch.moved(first, last) == frozenset({"other/production"}), (
        "added and removed between"
    )
    assert await branch.moved(last, None) is None, "it was deleted: perhaps all"


async def test_after_a_force_push_every_environment_may_have_moved(
    ada: Person, tmp_path: Path
) -> None:
    mirror = mirror_of(ada.remote, tmp_path)
    branch = Environments(mirror)
    text = to_yaml(release(1))
    old = ada.push({"production/mean.yaml": text}, "one", BRANCH)
    await mirror.fetch()
    run_git(ada.clone, "checkout", "-q", "--orphan", "anew")
    run_git(ada.clone, "rm", "-rqf", ".")
    run_git(ada.clone, "push", "-q", "origin", "--delete", BRANCH)
    new = ada.push({"staging/other.yaml": text}, "two", BRANCH)
    await mirror.fetch()
    assert await branch.moved(old, new) is None, "files may have come and gone in between"
    assert await branch.moved("0" * 40, new) is None, "nobody knows what that one had"


async def test_what_both_sides_of_a_merge_touched_moved(ada: Person, tmp_path: Path) -> None:
    mirror = mirror_of(ada.remote, tmp_path)
    text = to_yaml(release(1))
    old = ada.push({"production/mean.yaml": text}, "one", BRANCH)
    ada.push({"staging/mean.yaml": text}, "two", BRANCH)
    run_git(ada.clone, "checkout", "-q", "-b", "side", old)
    run_git(ada.clone, "merge", "-q", "--no-ff", "-m", "merge", f"origin/{BRANCH}")
    new = ada.push({"production/other.yaml": text}, "three", BRANCH)
    await mirror.fetch()
    moved = await Environments(mirror).moved(old, new)
    assert moved == frozenset({"mean/staging", "other/production"})
