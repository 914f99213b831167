"""A container as a process of this machine, in namespaces of its own by bubblewrap."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.doubles.kubernetes.api.pod_logs import ContainerLog
from tests.doubles.kubernetes.base.clock import ClusterClock
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.quantities import amount
from tests.doubles.kubernetes.kubelet.images import LocalImage
from tests.doubles.kubernetes.kubelet.volumes import ConfigurationError, expanded

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def user_of(pod: Obj, container: Obj, image: LocalImage) -> tuple[int, int]:
    """The user and group that a container runs as; ConfigurationError if it may not."""
    whole, own = (
        dig(pod, "spec", "securityContext", default={}),
        container.get("securityContext", {}),
    )
    context = {**whole, **own}
    user = context.get("runAsUser", image.user)
    if context.get("runAsNonRoot") and user == 0:
        name = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
        why = (
            "container's runAsUser breaks non-root policy"
            if context.get("runAsUser") == 0
            else "container has runAsNonRoot and image will run as root"
        )
        raise ConfigurationError(f'{why} (pod: "{name}", container: {container["name"]})')
    return user, context.get("runAsGroup", user)


def command_of(container: Obj, image: LocalImage, env: Mapping[str, str]) -> list[str]:
    """The words of its command; ConfigurationError if neither it nor the image has one."""
    entry = container.get("command") or list(image.entrypoint)
    rest = container.get("args") or ([] if container.get("command") else list(image.command))
    words = [expanded(word, env) for word in (*entry, *rest)]
    if not words:
        raise ConfigurationError("no command specified")
    return words


def held(container: Obj, command: list[str]) -> list[str]:
    """The command, held to the container's limit of memory: beyond it there is none to be had, and
    nothing is killed."""
    limit = dig(container, "resources", "limits", "memory")
    return command if limit is None else ["prlimit", f"--data={int(amount(limit))}", *command]


def sandbox(
    container: Obj,
    image: LocalImage,
    user: tuple[int, int],
    volumes: Mapping[str, Path],
    files: Mapping[str, Path],
) -> list[str]:
    """The words of bubblewrap before the container's command.

    `files` are files of the node by their places in the container.
    """
    words = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    words += ["--uid", str(user[0]), "--gid", str(user[1]), "--cap-drop", "ALL"]
    words += ["--die-with-parent", "--new-session", "--as-pid-1", "--tmpfs", "/"]
    if image.root is None:
        parts = [Path(each) for each in _SYSTEM if Path(each).exists()]
        words += _bound((each, each) for each in parts)
    else:
        words += _bound((each, Path("/") / each.name) for each in sorted(image.root.iterdir()))
    words += _bound((each, each) for each in image.paths)
    words += ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--dir", "/var/tmp"]
    for mount in sorted(container.get("volumeMounts", ()), key=lambda each: str(each["mountPath"])):
        source = volumes[mount["name"]]
        if mount.get("subPath"):
            source = source / mount["subPath"]
            if not source.exists():
                source.mkdir(parents=True)
        how = "--ro-bind" if mount.get("readOnly") else "--bind"
        words += [how, str(source), mount["mountPath"]]
    for place, file in files.items():
        words += ["--bind", str(file), place]
    # What the image has below a volume's place, as where the tests themselves are in /tmp.
    places = [Path(mount["mountPath"]) for mount in container.get("volumeMounts", ())]
    hidden = [one for one in image.paths if any(one.is_relative_to(each) for each in places)]
    words += _bound((each, each) for each in hidden)
    if dig(container, "securityContext", "readOnlyRootFilesystem"):
        words += ["--remount-ro", "/"]
    folder = container.get("workingDir") or image.folder
    return [*words, "--chdir", folder]


def _bound(places: Iterable[tuple[Path, Path]]) -> list[str]:
    words: list[str] = []
    for source, target in places:
        if source.is_symlink() and not source.is_dir():
            continue
        if source.is_symlink():
            words += ["--symlink", str(os.readlink(source)), str(target)]  # noqa: PTH115
        else:
            words += ["--ro-bind", str(source), str(target)]
    return words


class ContainerProcess:
    """A running container. It must be started by a thread that outlives it."""

    def __init__(
        self,
        words: Sequence[str],
        command: Sequence[str],
        env: Mapping[str, str],
        log: ContainerLog,
        clock: ClusterClock,
    ) -> None:
        reading, writing = os.pipe()
        whole = [words[0], "--info-fd", str(writing), *words[1:], "--", *command]
        self._process = subprocess.Popen(
            whole,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, **env},
            pass_fds=[writing],
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            said = told.read()
        self._child = int(json.loads(said)["child-pid"]) if said else self._process.pid
        self._log = log
        self._clock = clock
        self._first = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._first = self._first or line
                self._log.add(self._clock.seconds(), line)

    def signal(self, number: signal.Signals) -> None:
        """Send it to the container's first process."""
        if self._process.poll() is None:
            try:
                os.kill(self._child, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code: 128 and more for a signal."""
        code = self._process.wait()
        self._reader.join()
        self._log.end()
        return 128 - code if code < 0 else code

    def last_words(self) -> bytes:
        """The end of its log: 80 lines and 2,048 bytes at most, as a kubelet takes it."""
        return b"".join(line for _, line in self._log.lines[-80:])[-2048:]

    @property
    def start_error(self) -> str:
        """Why the command could not be started, if that was why it ended."""
        if self._process.returncode == 1 and self._first.startswith(b"bwrap: "):
            return self._first.decode(errors="replace").strip()
        return ""
