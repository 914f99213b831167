"""What a confined step cannot reach, a promise each; as real processes."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from controller.machine.runs.attempt import Attempt, AttemptState
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite
from tests.rights import with_rights

pytestmark = pytest.mark.bwrap
HUSH = "TOKEN=hush-hush-hush"


@pytest.fixture(params=["namespace", "users"])
def kind(request: pytest.FixtureRequest, namespaces: None) -> str:
    """How steps are confined."""
    return str(request.param)


class Tried:
    """Steps in a place, confined one way or the other."""

    def __init__(self, root: Path, team: tuple[Path, str], kind: str) -> None:
        self.root, self.team, self.kind = root, team, kind
        self.site = LocalSite(root, *team, kind="namespace")
        self.site.folder.chmod(0o777)  # whoever they are
        root.chmod(0o755)

    async def all(self, *attempts: Attempt) -> list[dict[str, Any]]:
        """How each ended, and what it said."""
        if self.kind == "users":
            return self._as_users(*attempts)
        found = []
        async with self.site.open() as executor:
            for attempt in attempts:
                status = await run(executor, attempt)
                said = await printed(executor, attempt)
                found.append({"state": status.state, "said": said})
        return found

    def _as_users(self, *attempts: Attempt) -> list[dict[str, Any]]:
        given = {
            "root": str(self.root),
            "team": str(self.team[0]),
            "commit": self.team[1],
            "attempts": [attempt.model_dump(mode="json") for attempt in attempts],
        }
        done = with_rights("tests.controller.executors.users_story", given)
        assert done.code == 0, done.err
        found: list[dict[str, Any]] = json.loads(done.out)
        if not found:
            pytest.skip("no users of their own: root lacks a right here")
        return found

    async def say(self, command: str, **changes: Any) -> str:
        """What one step says."""
        (found,) = await self.all(self.site.attempt(f"sh -c '{command} 2>&1; true'", **changes))
        assert found["state"] == AttemptState.SUCCEEDED, found
        return str(found["said"])


@pytest.fixture
def tried(tmp_path: Path, team: tuple[Path, str], kind: str) -> Tried:
    """See `Tried`."""
    return Tried(tmp_path, team, kind)


@pytest.mark.parametrize(
    "where", ["etc/secrets.env", "etc/headgate.pem", "home/state.db", "attempts/other/outputs/x"]
)
async def test_a_step_cannot_read_what_is_the_controllers_or_anothers(
    tried: Tried, where: str
) -> None:
    path = tried.root / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HUSH)
    said = await tried.say(f"cat {path}; ls {path.parent}; echo over")
    assert HUSH not in said
    assert path.name not in said.replace(str(path), "").replace(str(path.parent), "")
    assert "No such file" in said
    assert said.endswith("over\n")


async def test_a_step_cannot_read_the_home_of_the_controllers_user(tried: Tried) -> None:
    home = Path.home()
    there = {entry.name for entry in home.iterdir()}
    assert there, "nothing to hide"
    seen = set((await tried.say(f"ls -A {home}")).split())
    assert not there & seen - {".pyenv", ".local", *home.parts}, "but for the way to its Python"


@pytest.mark.parametrize("place", ["/run", "/tmp", "/var/tmp"])
async def test_a_step_sees_neither_sockets_nor_what_others_left(tried: Tried, place: str) -> None:
    said = (await tried.say(f"find {place} -type s; ls -A {place}")).split()
    on_the_way = {part for path in (tried.root, tried.team[0]) for part in path.parts}
    assert set(said) <= {*on_the_way, "systemd", "resolvconf"}


async def test_a_step_cannot_connect_to_a_socket_of_the_machines(tried: Tried) -> None:
    with socket.socket(socket.AF_UNIX) as docker:
        docker.bind(str(tried.root / "docker.sock"))
        docker.listen()
        connect = (
            "import socket; s = socket.socket(socket.AF_UNIX); "
            f's.connect(\\"{tried.root}/docker.sock\\")'
        )
        assert "FileNotFoundError" in await tried.say(f'python3 -c "{connect}"')


async def test_a_step_cannot_signal_the_controller_nor_see_it(tried: Tried) -> None:
    said = await tried.say(f"kill -0 {os.getpid()}; ls /proc/{os.getpid()}; ls -d /proc/[0-9]*")
    assert "No such process" in said
    numbers = [line for line in said.splitlines() if line.startswith("/proc/")]
    assert len(numbers) < 8


async def test_a_step_writes_nothing_but_its_own(tried: Tried) -> None:
    report = tried.root / "attempts" / "mean-1.gate.model.1" / "outputs" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    report.chmod(0o666)
    model = await tried.site.artifact("model.json", "{}")
    said = await tried.say(
        f"echo forged > {report}; echo x > /etc/x; echo x > /usr/x; echo x >> {{inputs.model}}; "
        "echo x > $VIRTUAL_ENV/x; echo fine > here; cat here; env | grep ^HOME",
        inputs={"model": model},
    )
    assert report.read_text() == "{}"
    assert said.count("Read-only file system") + said.count("Permission denied") == 4
    assert "fine\n" in said


async def test_a_step_has_no_right_and_gets_none(tried: Tried) -> None:
    said = await tried.say(
        'grep -E "CapEff|CapBnd|NoNewPrivs" /proc/self/status; umount /tmp; mount -t proc x /mnt'
    )
    assert said.split()[:6] == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
    assert "superuser" in said or "denied" in said or "not permitted" in said


async def test_a_step_can_use_its_own_folders_its_inputs_and_shared_memory(tried: Tried) -> None:
    numbers = await tried.site.dataset({"a.csv": "1"})
    temporary = "import tempfile; tempfile.TemporaryFile()"
    pool = "from multiprocessing import Pool, Lock; Lock(); print(Pool(2).map(abs, [-1, -2]))"
    said = await tried.say(
        "cat said.txt {inputs.numbers}/a.csv; echo; echo x > $TMPDIR/x; "
        f'cat $HOME/x; env -u TMPDIR python3 -c "{temporary}; {pool}"',
        inputs={"numbers": numbers},
    )
    assert said == "committed\n1\nx\n[1, 2]\n"


async def test_data_that_is_read_by_address_can_be_read(tried: Tried) -> None:
    numbers = await tried.site.dataset({"a.csv": "1"})
    given = numbers.model_copy(update={"access": "uri"})
    said = await tried.say(f"cat {tried.site.bucket('a.csv')}", inputs={"numbers": given})
    assert said == "1"


async def test_what_a_pull_request_proposes_is_another_user_than_what_may_be_released(
    tmp_path: Path, team: tuple[Path, str], namespaces: None
) -> None:
    tried = Tried(tmp_path, team, "users")
    leave = "sh -c 'id -u; umask 077; id -u > {{outputs.who}}; echo mine > {}/{}; chmod 600 {}/{}'"
    told = tried.site.folder

    def attempt(name: str, command: str, **changes: Any) -> Attempt:
        return tried.site.attempt(command, name=name, outputs={"who": "who"}, **changes)

    first = leave.format(told, "trusted", told, "trusted")
    again = f"sh -c 'id -u > {{outputs.who}}; cat {told}/trusted; true'"
    break_in = (
        f"sh -c 'id -u > {{outputs.who}}; cat {told}/trusted; echo x > {told}/trusted; "
        f"mv {told}/trusted {told}/gone; pkill -u 0; true'"
    )
    told.chmod(0o1777)
    released, same, proposed, other = await tried.all(
        attempt("a", first, trusted=True),
        attempt("b", again, trusted=True),
        attempt("c", break_in),
        attempt("d", again, trusted=True, run="other-1"),
    )
    users = [found["stored"]["who"] for found in (released, same, proposed, other)]
    assert users[0] == users[1]
    assert len(set(users)) == 3, "a pipeline and its pull requests are users of their own"
    assert all(int(user) >= 65_536 for user in users)
    assert same["said"] == "mine\n"
    assert proposed["said"].count("Permission denied") >= 2
    assert (told / "trusted").exists()
    assert all(found["owners"] == [0] for found in (released, same, proposed)), "taken back"
