"""What is broken, gone, full or hostile: named, waited out, and harmless to everybody else."""

import asyncio
import resource
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from controller.config.secrets import Secrets
from controller.machine.core import Key
from controller.machine.messages import RunRequested
from controller.store.protocol import OutboxEntry
from controller.wiring.service import serve
from specs.failures import NeedsHuman
from tests.controller.notify.receivers import webhook
from tests.ports import reserved_port
from tests.scenarios.world import World

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


async def refused(world: World) -> str:
    """What a controller says that cannot serve."""
    with pytest.raises(NeedsHuman) as failure:
        await asyncio.wait_for(serve(world.settings, world.root, Secrets({})), 30)
    return str(failure.value)


# -- state ---------------------------------------------------------------------------------------


def replace_state(world: World, content: bytes) -> None:
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (world.root / "home" / name).unlink(missing_ok=True)
    (world.root / "home" / "state.db").write_bytes(content)


@pytest.fixture
async def stopped(tmp_path: Path) -> World:
    """A world whose store the test does not hold open."""
    made = await World.make(tmp_path)
    await made.store.close()
    return made


async def test_a_state_file_that_is_no_database_is_named_with_the_mend(stopped: World) -> None:
    replace_state(stopped, b"not a database, but long enough to be looked at\n" * 100)
    said = await refused(stopped)
    assert "state.db" in said
    assert "backup" in said


async def test_a_damaged_state_file_is_named_with_the_mend(stopped: World) -> None:
    path = stopped.root / "home" / "state.db"
    whole = path.read_bytes()
    replace_state(stopped, whole[:100] + b"\xff" * (len(whole) - 100))
    said = await refused(stopped)
    assert "state.db" in said
    assert "damaged" in said


async def test_a_state_file_of_a_newer_version_is_left_alone(stopped: World) -> None:
    path = stopped.root / "home" / "state.db"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    said = await refused(stopped)
    assert "a newer Headgate wrote it" in said
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    database.close()


async def test_a_home_that_is_no_folder_is_named_with_the_mend(stopped: World) -> None:
    home = stopped.root / "home"
    shutil.rmtree(home)
    home.write_text("in the way")
    said = await refused(stopped)
    assert str(home) in said
    assert "set `home`" in said


async def test_a_second_controller_on_one_home_is_refused_and_the_first_goes_on(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1, "staging")
        # fcntl locks are a process's own, so the second one is another process.
        program = (
            "import asyncio, sys; from pathlib import Path\n"
            "from controller.wiring.service import serve\n"
            "from controller.config.secrets import Secrets\n"
            "from controller.config.settings import Settings\n"
            "from specs.failures import NeedsHuman\n"
            "settings = Settings.model_validate_json(sys.argv[2])\n"
            "try: asyncio.run(serve(settings, Path(sys.argv[1]), Secrets({})))\n"
            "except NeedsHuman as failure: print(failure)\n"
        )
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(world.root), world.settings.model_dump_json(),
            stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        output, _ = await asyncio.wait_for(second.communicate(), 60)
        assert "another controller runs on" in output.decode()
        await world.serves(1)


# -- git -----------------------------------------------------------------------------------------


async def test_a_remote_that_is_gone_is_waited_for_and_nothing_is_lost(world: World) -> None:
    world.push("Add the pipeline")
    away = world.root / "away.git"
    async with world.controller():
        await world.ended(1)
        world.remote.rename(away)
        world.drop("b.csv", [4, 5, 6])
        await world.ended(2)  # data goes on, and what is to be written waits in the outbox

        async def failed() -> bool:
            return any(each.attempts > 0 for each in await world.store.outbox())

        await world.until(failed, "something to be tried again")
        away.rename(world.remote)
        await world.serves(2, "staging")

        async def empty() -> bool:
            return not await world.store.outbox()

        await world.until(empty, "the outbox to be empty")
    assert world.file("staging") is not None


async def test_a_hostile_spec_is_reported_and_the_pipeline_beside_it_goes_on(world: World) -> None:
    bad = world.work / "bad"
    bad.mkdir()
    laughs = ["a: &a [x, x, x, x, x, x, x, x]"]
    names = "abcdefghijkl"
    laughs += [f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]" for old, new in pairwise(names)]
    (bad / "ml-pipeline.yaml").write_text("\n".join(laughs))
    huge = world.work / "huge"
    huge.mkdir()
    (huge / "ml-pipeline.yaml").write_text("metadata: {name: huge}\n" + "# x\n" * 300_000)
    commit = world.push("Add three pipelines, two of them hostile")
    async with world.controller():
        await world.serves(1)

        async def told() -> bool:
            note = world.note(commit)
            return "bad" in note and "huge" in note and note.count("invalid") >= 2

        await world.until(told, "what is wrong with the hostile specs")


# -- data ----------------------------------------------------------------------------------------


async def waits(world: World, what: str) -> None:
    """Wait until the pipeline says that it waits for something."""

    async def look() -> bool:
        pipeline = await world.pipeline()
        return bool(pipeline and pipeline.waits_for and what in pipeline.waits_for)

    await world.until(look, f"the pipeline to wait for {what}")


async def test_a_bucket_that_is_missing_is_waited_for_and_named(world: World) -> None:
    shutil.rmtree(world.bucket)
    world.push("Add the pipeline")
    async with world.controller():
        await waits(world, str(world.bucket))
        assert await world.run(1) is None
        world.bucket.mkdir()
        world.drop("a.csv", [1, 2, 3])
        assert (await world.ended(1)).outcome == "passed"


async def test_after_a_bucket_is_emptied_the_pinned_version_is_trained_on_until_a_new_one_comes(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        first = await world.ended(1)
        (world.bucket / "a.csv").unlink()
        await world.say(Key("pipeline", "mean"), RunRequested(kind="manual", why="now", force=True))
        second = await world.ended(2)
        world.drop("b.csv", [7, 8, 9])
        third = await world.ended(3)
    assert (second.outcome, second.datasets) == ("passed", first.datasets)
    assert (third.outcome, third.trigger.kind) == ("passed", "data")
    assert third.datasets != first.datasets


# -- artifacts -----------------------------------------------------------------------------------


async def test_a_damaged_artifact_is_made_again_and_never_served(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        run = await world.ended(1)
        await world.serves(1)
    digest = (run.nodes["train"].outputs or {})["model"]
    stored = world.root / "home" / "artifacts" / "files" / digest[7:9] / digest[9:]
    whole = stored.read_bytes()
    stored.chmod(0o600)
    stored.write_bytes(b"{}")
    async with world.controller():
        await world.say(
            Key("pipeline", "mean"), RunRequested(kind="manual", why="again", force=True)
        )
        again = await world.ended(2)
    assert again.nodes["train"].phase == "succeeded"
    assert stored.read_bytes() == whole


# -- people who are notified -----------------------------------------------------------------------


async def test_a_target_that_is_down_is_tried_again_and_holds_up_nothing(world: World) -> None:
    world.push(
        "Add the pipeline",
        ml_pipeline__yaml=(
            "params:",
            'notify: [{to: "json://127.0.0.1:9/x", on: [promoted]}]\n\nparams:',
        ),
    )
    async with world.controller():
        await world.serves(1)

        async def held_up() -> Sequence[OutboxEntry] | None:
            """The outbox, once it is notifications only and one of them was tried in vain."""
            left = await world.store.outbox()
            only = {entry.action["type"] for entry in left} == {"notify"}
            return left if only and any(entry.attempts for entry in left) else None

        left = await world.until(held_up, "nothing but notifications in the outbox")
    assert all(entry.error for entry in left if entry.attempts)


# -- the disk ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[None]:
    """The controller may write files of two megabytes at most; a write beyond fails as on a full
    disk, and needs no right to mount one. What it starts inherits this, and may raise it again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


LARGE = """import resource

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
given.out.write_text(" " * 4_000_000 + """


async def test_a_full_disk_fails_the_step_with_the_fix_and_the_next_run_passes(
    world: World,
    small_disk: None,
) -> None:
    world.push("Write a large model", train__py=("given.out.write_text(", LARGE))
    async with world.controller():
        run = await world.ended(1)
        assert run.outcome == "failed"
        failed = run.nodes["train"].failed or ""
        assert "no space left below" in failed, "the controller's words: it was its write"
        assert "free some" in failed
        world.push("Write a small one", train__py=(LARGE, "given.out.write_text("))
        assert (await world.ended(2)).outcome == "passed"


class Disk:
    """Fills for whatever this process appends to a file beyond a size."""

    def __init__(self) -> None:
        self._soft, self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._hard))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._soft, self._hard))


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.free()


async def test_a_controller_that_cannot_save_tells_at_once_past_its_store_and_again_when_it_can(
    world: World, disk: Disk
) -> None:
    with webhook() as here, reserved_port() as port:
        world.push(
            "Name somebody",
            ml_pipeline__yaml=(
                "params:",
                f'notify: [{{to: "json://127.0.0.1:{here.port}/spec", on: [stuck]}}]\n\nparams:',
            ),
        )
        world.configure(
            notify=[{"to": f"json://127.0.0.1:{here.port}/settings", "on": ["stuck"]}],
            github={"token": "TOKEN", "webhook": {"secret": "HOOK", "port": port}},
        )
        world.secrets = Secrets({"TOKEN": "of-nobody", "HOOK": "of-nobody"})
        health = f"http://127.0.0.1:{port}/healthz"
        async with world.controller(), httpx.AsyncClient() as http:
            await world.serves(1)
            log = world.root / "home" / "state.db-wal"
            disk.fill(log.stat().st_size // 2)  # below where it writes now, above all other files

            async def told() -> bool:
                return len(here.bodies) == 2

            await world.until(told, "both addresses to hear of it")
            assert {body["status"] for body in here.bodies} == {"firing"}
            assert {body["alert"] for body in here.bodies} == {"stuck/controller"}
            assert sorted(here.paths) == ["/settings", "/spec"]
            said = here.bodies[0]["incident"]["what"]
            assert "state.db" in said
            assert "free" in said.lower()
            answer = await http.get(health)
            assert (answer.status_code, answer.text) == (503, "the controller cannot save\n")
            disk.free()
            world.drop("b.csv", [4, 5, 6])  # and all goes on

            async def over() -> bool:
                return len(ends()) == 2

            # A canary that begins meanwhile may tell that its traffic is too little.
            def ends() -> list[str]:
                heard = [body for body in here.bodies[2:] if body["alert"] == "stuck/controller"]
                return [body["status"] for body in heard]

            await world.until(over, "its end to be told")
            assert set(ends()) == {"resolved"}
            assert (await http.get(health)).status_code == 200
            await world.serves(2, "staging")
