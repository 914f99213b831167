"""A place for attempts in containers of a real Docker Engine."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from controller.executors.docker import DockerExecutor
from controller.machine.runs.attempt import Attempt
from deployers.engine import HOME, Engine
from tests.controller.executors.site import ROOT, LocalSite

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")

CONTROLLER = """
import asyncio, sys
from pathlib import Path
from controller.machine.runs.attempt import Attempt, AttemptState
from tests.contracts.executor import becomes
from tests.controller.executors.docker_site import DockerSite

async def main():
    root, team, commit, host, image = sys.argv[1:]
    site = DockerSite(Path(root), (Path(team), commit), host, image)
    attempt = Attempt.model_validate_json(sys.stdin.read())
    async with site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        print("running", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


class ToldEngine(Engine):
    """An engine whose containers also reach the folder in which steps tell the tests."""

    def __init__(self, host: str, home: Path, told: Path) -> None:
        super().__init__(host, home)
        self._told = str(told)

    async def call(self, work: Callable[["DockerClient"], T]) -> T:
        def also_told(client: "DockerClient") -> T:
            from docker.types import Mount

            create = client.api.create_container

            def with_told(*args: Any, **kwargs: Any) -> Any:
                kwargs["host_config"]["Mounts"].append(Mount(self._told, self._told, type="bind"))
                return create(*args, **kwargs)

            if not hasattr(client.api, "told"):  # once for each client
                client.api.told = True  # type: ignore[attr-defined]  # a mark of ours
                client.api.create_container = with_told  # type: ignore[method-assign]  # see above
            return work(client)

        return await super().call(also_told)


class DockerSite(LocalSite):
    """See `tests.contracts.executor.Site`."""

    def __init__(self, root: Path, team: tuple[Path, str], host: str, image: str) -> None:
        super().__init__(root, *team)
        self.folder.chmod(0o777)  # whoever the user of the container is
        self.host, self.image = host, image
        self._own = [str(root), str(team[0]), team[1], host, image]

    @asynccontextmanager
    async def open(self, slots: int = 4) -> AsyncIterator[DockerExecutor]:  # type: ignore[override]  # another executor
        engine = ToldEngine(self.host, self.folder.parent, self.folder)
        executor = DockerExecutor(
            self.workspace, engine, slots=asyncio.Semaphore(slots), redact=self.secrets.redact
        )
        try:
            yield executor
        finally:
            await executor.close()
            await engine.close()

    async def start_and_die(self, attempt: Attempt) -> None:
        controller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONTROLLER, *self._own,
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert controller.stdin is not None
        assert controller.stdout is not None
        controller.stdin.write(attempt.model_dump_json().encode())
        controller.stdin.close()
        assert await controller.stdout.readline() == b"running\n"
        controller.kill()
        await controller.wait()

    def attempt(self, command: str, name: str = "train", **changes: Any) -> Attempt:
        given = {"executor": "docker", "image": self.image, **changes}
        return super().attempt(command, name, **given)

    def docker(self, work: Callable[["DockerClient"], T]) -> T:
        """Ask the engine past the executor."""
        from docker import DockerClient

        client = DockerClient(base_url=self.host)
        try:
            return work(client)
        finally:
            client.close()

    def containers(self, *, ended: bool = False) -> list[str]:
        """The ids of the containers of this place that run, or of all."""
        label = f"{HOME}={Engine(self.host, self.folder.parent).home}"
        return self.docker(
            lambda client: [
                str(each.id) for each in client.containers.list(all=ended, filters={"label": label})
            ]
        )

    def lives(self, pid_file: Path) -> bool:  # noqa: ARG002 - inside it has another number
        return bool(self.containers())  # its processes end with it

    def tear_down(self) -> None:
        for each in self.containers(ended=True):
            self.docker(lambda client, each=each: client.api.remove_container(each, force=True))  # type: ignore[misc]  # mypy cannot infer such a lambda
