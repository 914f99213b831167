"""Deploying with scripts of the team: what they are given, and what becomes of their failures.

The contract suite runs over the same deployer with a cloud behind its scripts.
"""

import asyncio
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployers.command import CommandDeployer
from deployers.command_place import COMMAND
from deployers.confinement import UNCONFINED, Confinement
from deployers.every_target import EveryTarget
from deployers.protocol import Deployed, Deployer, Desired, Scripts, Server, ServerStatus, Traffic
from deployers.windows import make_window
from specs.failures import NeedsHuman, TryAgain
from specs.traffic import ArmWindow, TrafficWindow

PLACE = "mean/production"
SECRET = "correct-horse"
RUNS = {
    "servers": [{"name": "v1", "alive": True, "ready": True, "address": "http://v1.example"}],
    "address": "http://mean.example",
    "stable": "v1",
}


def scripts(folder: Path, *, timeout: float = 20.0, **bodies: str) -> Scripts:
    """Scripts with these bodies; `given` is what they read. Each notes what it was given."""
    commands = {}
    for name in ("apply", "observe", "traffic", "remove"):
        body = bodies.get(name, "print(json.dumps({'servers': []}))" if name == "observe" else "")
        text = f"import json, os, sys, time\ngiven = json.load(sys.stdin)\n{body}\n"
        (folder / f"{name}.py").write_text(text)
        commands[name] = f"{sys.executable} -I -S {{root}}/{name}.py"
    return Scripts(
        commands=commands,
        folder=str(folder),
        root=str(folder),
        secrets=("TOKEN",),
        timeout=timeout,
        environment={"WHO": "us"},
    )


OF_CLUSTERS = {"format", "shipment", "secrets", "resources", "profile", "replicas"}


def prints(value: Mapping[str, Any]) -> str:
    return f"print({json.dumps(json.dumps(value))})"


def deployer(home: Path, confinement: Confinement = UNCONFINED) -> CommandDeployer:
    return CommandDeployer(
        home / "home",
        redact=lambda text: text.replace(SECRET, "***"),
        reveal=lambda names: dict.fromkeys(names, SECRET),
        confinement=confinement,
    )


def server(name: str = "v1", **more: str) -> Server:
    return Server(
        name=name, run="serve {model}", model="/models/1", folder="/code", ready="/healthz",
        predict="/predict", **more,
    )  # fmt: skip


async def test_apply_is_given_what_should_be_and_its_secrets_by_name(tmp_path: Path) -> None:
    said = tmp_path / "said.json"
    body = f"open({str(said)!r}, 'w').write(json.dumps([given, dict(os.environ)]))"
    stable, canary = server(), server("v2", image="registry.example/mean@sha256:0f")
    desired = Desired(stable=stable, canary=canary, canary_weight=0.25, seed=7, port=8000)
    given = desired.model_copy(update={"scripts": scripts(tmp_path, apply=body)})
    await deployer(tmp_path).apply(PLACE, given)
    read, environment = json.loads(said.read_text())
    assert read == {
        "place": PLACE,
        "stable": stable.model_dump(mode="json", exclude=OF_CLUSTERS),
        "canary": canary.model_dump(mode="json", exclude=OF_CLUSTERS),
        "canary_weight": 0.25,
        "seed": 7,
        "port": 8000,
        "closed": False,
    }
    assert (environment["TOKEN"], environment["WHO"]) == (SECRET, "us")
    assert not environment.keys() - {"TOKEN", "WHO", "PATH", "LC_ALL", "LC_CTYPE", "PWD"}
    kept = [file.read_text() for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert kept
    assert not any(SECRET in text for text in kept)


async def test_another_controller_asks_the_same_scripts_what_runs(tmp_path: Path) -> None:
    desired = Desired(stable=server(), scripts=scripts(tmp_path, observe=prints(RUNS)))
    await deployer(tmp_path).apply(PLACE, desired)
    seen = await deployer(tmp_path).observe(PLACE)
    assert seen == Deployed.model_validate(RUNS)
    assert await deployer(tmp_path).observe("mean/staging") == Deployed()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("sys.exit(75)", TryAgain, "`apply` asks to be tried again (exit code 75)"),
        ("sys.exit('no: ' + os.environ['TOKEN'])", NeedsHuman, "exit code 1 (75 would ask to be"),
        ("os.kill(os.getpid(), 9)", TryAgain, "`apply` was killed by signal 9"),
        ("time.sleep(1000)", TryAgain, "`apply` took longer than 1 s and was ended"),
    ],
)
async def test_the_exit_code_says_whether_to_try_again_or_a_person_is_needed(
    tmp_path: Path, body: str, kind: type[Exception], words: str
) -> None:
    desired = Desired(stable=server(), scripts=scripts(tmp_path, timeout=1.0, apply=body))
    with pytest.raises(kind) as raised:
        await deployer(tmp_path).apply(PLACE, desired)
    assert str(raised.value).startswith(f"{PLACE}: the script ")
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)
    if "TOKEN" in body:
        assert "it said:\nno: ***" in str(raised.value)


async def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    lacking = scripts(tmp_path).model_copy(update={"commands": {"apply": "deploy.sh"}})
    with pytest.raises(NeedsHuman, match=r"the script `apply` cannot be started: deploy.sh"):
        await deployer(tmp_path).apply(
            PLACE, Desired(stable=server(), target="command", scripts=lacking)
        )


def test_what_a_script_leaves_in_the_background_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = (
        "import subprocess\n"
        "kept = dict(stdin=-3, stdout=-3, stderr=-3)\n"
        "sleeps = [sys.executable, '-c', 'import time; time.sleep(1000)']\n"
        "child = subprocess.Popen(sleeps, **kept)\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))"
    )
    desired = Desired(scripts=scripts(tmp_path, apply=body))
    asyncio.run(deployer(tmp_path).apply(PLACE, desired))
    stat = Path("/proc", pid.read_text(), "stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


async def test_a_background_process_that_keeps_the_output_open_holds_nothing_up(
    tmp_path: Path,
) -> None:
    shell = tmp_path / "observe.sh"
    shell.write_text(f"sleep 60 &\necho '{json.dumps(RUNS)}'\n")
    ours = scripts(tmp_path)
    commands = {**ours.commands, "observe": "sh {root}/observe.sh"}
    desired = Desired(target="command", scripts=ours.model_copy(update={"commands": commands}))
    await deployer(tmp_path).apply(PLACE, desired)
    assert await deployer(tmp_path).observe(PLACE) == Deployed.model_validate(RUNS)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("print('it works')", "`observe` printed is not as expected: Invalid JSON"),
        (prints({"canary_wight": 0.5}), "`canary_wight`: Extra inputs are not permitted"),
        (prints({"servers": [{"name": "v1"}]}), "`servers.0.alive`: Field required"),
        (prints({"canary_weight": "most"}), "`canary_weight`: Input should be a valid number"),
        (prints({"canary_weight": math.nan}), "`canary_weight`: Input should be"),
        (prints({"canary_weight": 1.5}), "`canary_weight`: Input should be less than or equal"),
        ("sys.exit('cannot')", "`observe` failed with exit code 1"),
    ],
)
async def test_what_cannot_be_read_is_told_with_script_and_field_and_asked_again(
    tmp_path: Path, printed: str, words: str
) -> None:
    ours = deployer(tmp_path)
    desired = Desired(stable=server(), canary=server("v2"), canary_weight=0.5)
    given = {"scripts": scripts(tmp_path, observe=printed)}
    await ours.apply(PLACE, desired.model_copy(update=given))
    with pytest.raises(TryAgain) as raised:
        await ours.observe(PLACE)
    assert words in str(raised.value)
    assert raised.value.human


async def test_a_rollback_that_did_not_take_is_noticed(tmp_path: Path) -> None:
    still = prints({**RUNS, "canary": "v2", "canary_weight": 0.25})
    desired = Desired(stable=server(), scripts=scripts(tmp_path, observe=still))
    with pytest.raises(TryAgain, match=r"the canary still has 25.0% of the traffic"):
        await deployer(tmp_path).apply(PLACE, desired)


EXCHANGE = {"seq": 5, "at": 1.0, "arm": "canary", "probability": 0.5, "status": 200}


def window(seq: int, **more: Any) -> dict[str, Any]:
    return {"seq": seq, "start": 15.0 * seq, "end": 15.0 * seq + 15, "weight": 0.1, **more}


async def reading(tmp_path: Path, page: Mapping[str, Any], epoch: str, after: int) -> Traffic:
    ours = deployer(tmp_path)
    await ours.apply(PLACE, Desired(scripts=scripts(tmp_path, traffic=prints(page))))
    return await ours.traffic(PLACE, epoch, after)


async def test_a_window_that_is_reported_twice_counts_once(tmp_path: Path) -> None:
    ten = {"stable": {"requests": 9, "errors": 1}, "canary": {"requests": 1}}
    page = {"epoch": "e", "next": 3, "windows": [window(n, **ten) for n in range(3)]}
    first = await reading(tmp_path, page, "", 0)
    assert [one.seq for one in first.windows] == [0, 1, 2]
    assert (first.counted, first.split) == (True, "draw")
    assert first.windows[0] == TrafficWindow(
        seq=0, start=0, end=15, weight=0.1,
        stable=ArmWindow(requests=9, errors=1), canary=ArmWindow(requests=1),
    )  # fmt: skip
    assert [one.seq for one in (await reading(tmp_path, page, "e", 2)).windows] == [2]
    assert (await reading(tmp_path, page, "e", 3)).windows == ()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"next": 5, "more": True}, "`traffic` printed: `more` is true, but `next` is still 5"),
        ({"next": 5, "now": math.nan}, "`traffic` printed is not as expected: `now`: Input"),
        ({"next": 5, "dropped": -1}, "`dropped`: Input should be greater than or equal to 0"),
        (
            {"next": 5, "waiting": [{"arm": "canary", "probability": 0.5, "age": math.nan}]},
            "`waiting.0.age`: Input should be",
        ),
        (
            {"next": 6, "exchanges": [{**EXCHANGE, "latency": math.inf}]},
            "`exchanges.0.latency`: Input should be",
        ),
        ({"next": 2}, "`next` is 2, before `after`, 5, in the same `epoch`"),
        (
            {"next": 9, "windows": [window(6), window(6)]},
            "the `seq` of `windows` does not increase",
        ),
        ({"next": 6, "windows": [window(6)]}, "6, is not below `next`, 6"),
        (
            {"next": 9, "windows": [window(6, canary={"requests": 1, "errors": 2})]},
            r"`windows.0.canary`: Value error, errors (2) exceed requests (1)",
        ),
        (
            {"next": 9, "windows": [window(6, canary={"latencies": [{"up_to": 1, "count": 0}]})]},
            "the last bucket of latencies, and no other, has `up_to: null`",
        ),
    ],
)
async def test_counts_that_contradict_themselves_are_not_judged(
    tmp_path: Path, page: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(TryAgain) as raised:
        await reading(tmp_path, {"epoch": "e", **page}, "e", 5)
    assert words in str(raised.value)


async def test_remove_that_fails_is_not_forgotten(tmp_path: Path) -> None:
    ours = deployer(tmp_path)
    failing = f"os.path.exists({str(tmp_path / 'ok')!r}) or sys.exit(75)"
    await ours.apply(PLACE, Desired(scripts=scripts(tmp_path, remove=failing)))
    with pytest.raises(TryAgain):
        await ours.remove(PLACE)
    (tmp_path / "ok").touch()
    await ours.remove(PLACE)
    (tmp_path / "remove.py").write_text("raise SystemExit('it is gone')")
    await ours.remove(PLACE)


@pytest.mark.bwrap
@pytest.mark.usefixtures("namespaces")
async def test_a_confined_script_sees_its_files_and_not_the_controllers(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir(mode=0o755)
    secret = tmp_path / "home" / "state"
    secret.parent.mkdir()
    secret.write_text("of the controller")
    body = (
        f"open('apply.py').read(); os.path.exists({str(secret)!r}) and sys.exit('seen')\n"
        "os.access('.', os.W_OK) and sys.exit('writable')"
    )
    confinement = Confinement((tmp_path / "home",), kind="namespace")
    ours = scripts(tmp_path / "code", apply=body)
    found = ours.model_copy(update={"environment": {"VIRTUAL_ENV": sys.prefix}})
    desired = Desired(target="command", scripts=found)
    await deployer(tmp_path, confinement).apply(PLACE, desired)


class Noted:
    """A target that runs what it is told to, and notes it."""

    def __init__(self) -> None:
        self.stable: str | None = None
        self.removed = 0

    async def apply(self, _place: str, desired: Desired) -> None:
        self.stable = desired.stable.name if desired.stable else None

    async def observe(self, _place: str) -> Deployed:
        if self.stable is None:
            return Deployed()
        return Deployed(servers=(ServerStatus(name=self.stable, alive=True, ready=True),))

    async def remove(self, _place: str) -> None:
        self.removed += 1

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_a_place_that_serves_is_not_moved_to_another_deployer(tmp_path: Path) -> None:
    async def story() -> None:
        local, command = Noted(), Noted()
        targets: dict[str, Deployer] = {"local": local, COMMAND: command}
        every, ours = EveryTarget(tmp_path / "home", targets), scripts(tmp_path)
        await every.apply(PLACE, Desired(stable=server()))
        beside = Desired(stable=server(), canary=server("v2"), target="command", scripts=ours)
        with pytest.raises(NeedsHuman, match="`headgate down mean`, `headgate up`"):
            await every.apply(PLACE, beside)
        await every.apply(PLACE, Desired(stable=server(), target="command", scripts=ours))
        assert (local.stable, command.stable) == ("v1", None), "a rollback stays where it is"
        local.stable = None  # `headgate down`
        await every.apply(PLACE, beside)
        assert (local.removed, command.stable) == (1, "v1")
        await EveryTarget(tmp_path / "home", targets).apply(PLACE, Desired(stable=server()))
        assert command.stable == "v1", "what a former version's spec says moves nothing either"

    asyncio.run(story())


async def test_the_window_shows_where_a_place_answers_without_running_a_script(
    tmp_path: Path,
) -> None:
    every = EveryTarget(tmp_path / "home", {"local": Noted(), COMMAND: deployer(tmp_path)})
    view = make_window(tmp_path / "home")
    assert (await view.glance(PLACE)).address is None
    ours = scripts(tmp_path, observe=prints(RUNS))
    await every.apply(PLACE, Desired(stable=server(), target="command", scripts=ours))
    await every.observe(PLACE)
    (tmp_path / "observe.py").write_text("raise SystemExit('it must not run')")
    assert (await view.glance(PLACE)).address == "http://mean.example"
    assert view.logs(PLACE, "v1") == ()
    with pytest.raises(TryAgain, match="which only the controller runs"):
        await view.traffic(PLACE)
