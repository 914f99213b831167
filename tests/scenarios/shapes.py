"""A new user: from an empty clone to a model in production, by the commands of an example's README.

The first `sh` block of `examples/NAME/README.md` is typed as it stands, in an empty folder, as one
shell does it. It clones an empty repository, and its last command but for looking is `headgate up`,
which is left running. An example's test is

    def test_a_clone_of_x_is_in_production(tmp_path: Path) -> None:
        with new_user("x", tmp_path) as shape:
            assert shape.ask({"a": 1}) == {"score": 0.5}

which fails where the README has more than ten commands or a spec more than 40 lines of YAML, and
where no model comes into production. What the README cannot say as it is:

- `git@example.org:team/NAME.git`, of the example's NAME, is the address of an empty repository;
- `headgate` is the one of these tests, and people have a name in git;
- other texts, such as the address of a database, are given as `instead={TEXT: OTHER}`, and
  secrets as `environ={"HEADGATE_SECRET_NAME": VALUE}`.
"""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ruamel.yaml import YAML

from controller.git.environment_file import parse
from controller.git.environments import BRANCH
from controller.machine.environments.file import path_of
from deployers.local import LocalDeployer
from deployers.processes import Processes
from specs.model import is_spec_file
from tests.first_screen import first_screen
from tests.scenarios.world import git_or_none, run_git

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 90.0
"""Seconds after which a model should have been in production."""
MOST_COMMANDS, MOST_LINES = 10, 40
MOST_PRINTED = 20
"""Lines shown of what the commands printed, where one of them failed: the last ones."""

T = TypeVar("T")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_UP = re.compile(r"^headgate( --settings \S+)? up$")
_COMMENT = re.compile(r"(^|\s)#.*")


class Shape(NamedTuple):
    """An example whose first models are in production."""

    commands: tuple[str, ...]
    """All that had to be typed, `headgate up` among them."""
    lines: Mapping[str, int]
    """Lines of YAML, neither blank nor a comment, of each pipeline's spec."""
    pipelines: tuple[str, ...]
    remote: Path
    work: Path
    """Where `headgate up` was typed."""

    @property
    def home(self) -> Path:
        """The controller's state."""
        return self.work / ".headgate"

    def headgate(self, *arguments: str) -> str:
        """What a command prints that is typed beside the controller."""
        return _headgate(self.work, *arguments)

    def status(self, pipeline: str | None = None) -> Any:
        """What `headgate status --json` says of a pipeline; without a name, of the only one."""
        said = json.loads(self.headgate("status", "--json"))
        (found,) = (one for one in said["pipelines"] if one["name"] == self._named(pipeline))
        return found

    def address(self, pipeline: str | None = None) -> str:
        """Where production answers."""
        environments = self.status(pipeline)["environments"]
        (found,) = (one["address"] for one in environments if one["name"] == "production")
        assert isinstance(found, str)
        return found

    def ask(self, body: Any, path: str = "/predict", pipeline: str | None = None) -> Any:
        """What the model in production answers to a JSON body."""
        request = urllib.request.Request(
            self.address(pipeline) + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def pointer(self, pipeline: str | None = None) -> str:
        """The digest of the model that the environments branch names for production."""
        digest = released(self.remote, self._named(pipeline))
        assert digest is not None
        return digest

    def _named(self, pipeline: str | None) -> str:
        if pipeline is None:
            (pipeline,) = self.pipelines
        return pipeline


@contextmanager
def new_user(
    name: str,
    root: Path,
    *,
    instead: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[Shape]:
    """Does as the README of the example says, and waits until production has a first model of
    every pipeline, `patience` seconds at most. What runs is ended with the block."""
    remote, desk = root / f"{name}.git", root / "desk"
    desk.mkdir()
    run_git(root, "init", "-q", "--bare", "-b", "main", str(remote))
    addresses = {f"git@example.org:team/{name}.git": str(remote), **(instead or {})}
    commands = commands_of((EXAMPLES / name / "README.md").read_text(encoding="utf-8"))
    assert len(commands) <= MOST_COMMANDS, commands
    script = "\n".join(_typed(commands, addresses))
    log = root / "typed.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["sh", "-euc", script],
            cwd=desk,
            env=_environ(root) | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    lines: dict[str, int] = {}
    work = desk
    try:
        work = _until_up(process, log)
        specs = [work / file for file in run_git(work, "ls-files").splitlines()
                 if is_spec_file(Path(file).name)]  # fmt: skip
        lines = {_name(spec): yaml_lines(spec.read_text(encoding="utf-8")) for spec in specs}
        assert lines, f"{name} has pushed no spec"
        assert max(lines.values()) <= MOST_LINES, lines
        for pipeline in lines:
            _until_released(process, log, remote, pipeline, patience)
        yield Shape(tuple(commands), lines, tuple(lines), remote, work)
    finally:
        _end(process)
        if lines:
            asyncio.run(_tear_down(work / ".headgate", lines))


def commands_of(readme: str) -> list[str]:
    """The commands of the first `sh` block; what is joined by && counts one by one."""
    found = _BLOCK.search(readme)
    assert found, "the README has no block that begins with ```sh"
    joined = found[1].replace("\\\n", " ")
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [part.strip() for line in lines if line for part in line.split("&&")]


def yaml_lines(text: str) -> int:
    """How many lines of a spec are neither blank nor a comment."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def released(remote: Path, pipeline: str) -> str | None:
    """The digest of the model that the environments branch names for production."""
    path = path_of("production", pipeline)
    text = git_or_none(remote, "show", f"{BRANCH}:{path}")
    file = parse(text, path) if text else None
    return file.model.digest if file and file.model else None


def _typed(commands: list[str], instead: Mapping[str, str]) -> Iterator[str]:
    """Lines of a script that ends as `headgate up`."""
    for command in commands:
        for text, other in instead.items():
            command = command.replace(text, other)  # noqa: PLW2901
        if _UP.match(command):
            yield f"exec {command}"  # so that what is ended is the controller
            return
        yield command
    raise AssertionError("no command is `headgate up`")


def _environ(root: Path) -> dict[str, str]:
    """A person with a name, whose `headgate` is ours and whose Python is not."""
    tools = root / "tools"
    tools.mkdir()
    (tools / "headgate").symlink_to(Path(sys.executable).parent / "headgate")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADGATE_", "GITHUB_"))}
    person = {f"GIT_{who}_{what}": said for who in ("AUTHOR", "COMMITTER")
              for what, said in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}  # fmt: skip
    own = Path(sys.executable).parent
    paths = [p for p in kept["PATH"].split(os.pathsep) if Path(p).resolve() != own.resolve()]
    return kept | person | {"PATH": os.pathsep.join([str(tools), *paths])}


def _until_up(process: "subprocess.Popen[bytes]", log: Path) -> Path:
    """Wait for `headgate up`; the folder that it was typed in."""

    def look() -> Path | None:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        if any(word.endswith(b"/headgate") for word in line[:2]) and b"up" in line:
            return _folder_of(process)
        return None

    return _until(look, process, log, "`headgate up`")


def _folder_of(process: "subprocess.Popen[bytes]") -> Path:
    return Path(f"/proc/{process.pid}/cwd").resolve()


def _until_released(
    process: "subprocess.Popen[bytes]", log: Path, remote: Path, pipeline: str, patience: float
) -> None:
    __tracebackhide__ = True
    what = f"a model of {pipeline} in production"
    _until(lambda: released(remote, pipeline), process, log, what, patience)


def _until(
    look: Callable[[], T | None],
    process: "subprocess.Popen[bytes]",
    log: Path,
    what: str,
    patience: float = PATIENCE,
) -> T:
    __tracebackhide__ = True
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        if process.poll() is not None:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-MOST_PRINTED:])
            raise AssertionError(f"it ended before {what}:\n{said}")
        if time.monotonic() > deadline:
            why = asyncio.run(first_screen(_folder_of(process) / ".headgate" / "state.db", log))
            raise AssertionError(f"waited {patience:g} s in vain for {what}.\n\n{why}")
        time.sleep(0.1)
    return found


def _name(spec: Path) -> str:
    return str(YAML(typ="safe").load(spec.read_text(encoding="utf-8"))["metadata"]["name"])


def _headgate(work: Path, *arguments: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADGATE_")}
    command = [str(Path(sys.executable).parent / "headgate"), *arguments]
    return subprocess.run(
        command, cwd=work, env=clean, check=True, capture_output=True, text=True
    ).stdout


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


async def _tear_down(home: Path, pipelines: Collection[str]) -> None:
    """End what the controller left running on purpose."""
    deployer = LocalDeployer(home / "serving", redact=str)
    try:
        for place in itertools.product(pipelines, ("staging", "production")):
            await deployer.remove("/".join(place))
    finally:
        await deployer.close()
    with Processes(home / "attempts") as attempts:
        for name in attempts.names():
            attempts.stop(name, grace=0.1)
