"""A Kubernetes of one node for a test run: etcd, API server, controllers, scheduler, kubelet.

A process with all rights of root, which `tests.engine_keeper` starts and which ends when its
standard input closes. It has a mount namespace of its own: what its parts mount, and what they
write to folders that cannot be set, ends with it. It is told a line at a time and answers each with
one: `up` answers with what is there, as JSON; `stop PART SIGNAL` and `start PART` answer `done`;
anything that fails answers `no: why`.
"""

import contextlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.engine_keeper import answers
from tests.ports import reserved_port
from tests.servers.kubernetes.certificates import Authority
from tests.servers.kubernetes.configuration import NODE, PORTS, USERS, Place, commands, write
from tests.servers.kubernetes.network import network
from tests.servers.kubernetes.pause import make_pause

START = 120.0
"""Seconds in which a part is ready, or is given up."""
TUNED = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
         "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")  # fmt: skip
"""What a kubelet sets for the whole machine when it starts."""


class Cluster:
    """The parts, in the empty folder `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._held = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs = home / "var-log"
        logs.mkdir()
        _run("mount", "--bind", str(logs), "/var/log")  # where the kubelet links to pods' output
        ports = {name: self._held.enter_context(reserved_port()) for name in PORTS}
        self.place = Place(home, ports, self._held.enter_context(network()))
        self._tokens = {user: secrets.token_hex(16) for user in USERS}
        self._trust = self._certify()
        write(self.place, self._tokens)
        self._commands = commands(self.place)

    def up(self) -> dict[str, object]:
        """Start all parts, and wait until pods can be made; says where everything is."""
        began = time.monotonic()
        for each in ("dockerd", "etcd", "kube-apiserver"):
            self.start(each)
        self._await("kube-apiserver", lambda: self._get("/readyz") == b"ok")
        self.start("kube-controller-manager")
        self.start("kube-scheduler")
        self.start("kube-proxy")
        self._await("dockerd", lambda: answers(self._home / "d.sock"))
        make_pause(self.place.docker)
        with _kept_settings():
            self.start("kubelet")
            self._await("kubelet", self._node_is_ready)
        self._await("kube-controller-manager", self._has_account)
        place = self.place
        return {
            "kubeconfig": str(place.kubeconfig("admin")),
            "stranger": str(place.kubeconfig("stranger")),
            "api": place.api, "etcd": place.etcd, "docker": place.docker, "node": NODE,
            "machine": place.network.machine,
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip

    def start(self, part: str) -> None:
        """Start a part, unless it runs."""
        known = self._running.get(part)
        if known is not None and known.poll() is None:
            return
        with (self._home / f"{part}.log").open("ab") as log:
            self._running[part] = subprocess.Popen(
                self._commands[part], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self._home, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            )  # fmt: skip

    def restart(self, part: str) -> None:
        """Start a part that was stopped; an API server is waited for."""
        self.start(part)
        if part == "kube-apiserver":
            self._await(part, lambda: self._get("/readyz") == b"ok")

    def stop(self, part: str, how: str) -> None:
        """Send a part a signal; one that ends it is waited for."""
        process = self._running[part]
        process.send_signal(signal.Signals[how])
        if how not in {"SIGSTOP", "SIGCONT"}:
            process.wait(START)

    def close(self) -> None:
        """End all parts: the kubelet first, which would start containers anew."""
        for part, process in reversed(self._running.items()):
            if part == "dockerd":  # which has something to put away
                process.send_signal(signal.SIGCONT)
                process.terminate()
            else:
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(START)
        self._held.close()

    def _certify(self) -> ssl.SSLContext:
        authority = Authority(self._home)
        reached = self.place.network
        authority.server("apiserver", reached.machine, reached.service(1))
        authority.server("kubelet", reached.node)
        authority.client("asks-kubelet")
        authority.key("accounts")
        return ssl.create_default_context(cafile=str(authority.certificate))

    def _await(self, part: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START
        while True:
            with contextlib.suppress(OSError):
                if ready():
                    return
            log = self._home / f"{part}.log"
            last = log.read_text(errors="replace").strip()[-1500:]
            if self._running[part].poll() is not None or time.monotonic() > deadline:
                raise OSError(f"{part} does not start here: {last}")
            time.sleep(0.1)

    def _get(self, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._tokens['admin']}"}
        asked = urllib.request.Request(self.place.api + path, headers=headers)
        with urllib.request.urlopen(asked, timeout=5, context=self._trust) as answer:
            read: bytes = answer.read()
            return read

    def _node_is_ready(self) -> bool:
        node = json.loads(self._get(f"/api/v1/nodes/{NODE}"))
        ready = any(
            (each["type"], each["status"]) == ("Ready", "True")
            for each in node["status"].get("conditions", ())
        )
        return ready and not node["spec"].get("taints")

    def _has_account(self) -> bool:
        found = json.loads(self._get("/api/v1/namespaces/default/serviceaccounts/default"))
        return bool(found.get("secrets"))


@contextlib.contextmanager
def _kept_settings() -> Iterator[None]:
    """Give the machine back the settings that it had."""
    paths = [Path("/proc/sys", each) for each in TUNED]
    before = {path: path.read_text() for path in paths if path.exists()}
    try:
        yield
    finally:
        for path, value in before.items():
            if path.read_text() != value:
                path.write_text(value)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _told(cluster: Cluster, line: str) -> str:
    match line.split():
        case ["up"]:
            return json.dumps(cluster.up())
        case ["start", part]:
            cluster.restart(part)
        case ["stop", part, how]:
            cluster.stop(part, how)
        case _:
            return f"no: {line!r} is not understood"
    return "done"


def main(home: Path) -> None:
    """Do as told until nobody is left to tell."""
    try:
        cluster = Cluster(home)
    except OSError as error:
        print(f"no: {error}".replace("\n", " "), flush=True)
        return
    try:
        for line in sys.stdin:
            try:
                answer = _told(cluster, line)
            except (OSError, subprocess.TimeoutExpired) as error:
                answer = f"no: {error}".replace("\n", " ")
            print(answer, flush=True)
    finally:
        cluster.close()


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with its parent, after it
    main(Path(sys.argv[1]))
