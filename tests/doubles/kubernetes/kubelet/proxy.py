"""The addresses of Services: connections are passed on to a pod that is ready, drawn at random.

Without one they are refused, as by kube-proxy.
"""

import random
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

_PART = 65_536


class ServiceProxy:
    """Listens on the cluster address of each Service that selects pods, and writes the names of
    Services into the file of hosts that all pods see."""

    def __init__(self, verbs: Any, folder: Path) -> None:
        self._actor = Actor(verbs, "kube-proxy")
        self._random = random.Random(0)
        self._hosts = folder / "hosts"
        self._open: dict[Key, dict[int, socket.socket]] = {}
        self._lock = threading.Lock()

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name in ("Service", "Endpoints"):  # both of one name
            yield change.address

    def sync(self, key: Key) -> float | None:
        service = self._actor.get("Service", *key)
        self._write_hosts()
        wanted: set[int] = set()
        if service is not None and dig(service, "spec", "selector"):
            address = service["spec"].get("clusterIP", "None")
            if address not in ("None", ""):
                ports = (int(port["port"]) for port in service["spec"]["ports"])
                wanted = {port for port in ports if self._targets(key, port)}
        there = self._open.setdefault(key, {})
        for port in set(there) - wanted:
            _close(there.pop(port))
        for port in wanted - set(there):
            assert service is not None
            self._listen(key, service, port)
        return None

    def _listen(self, key: Key, service: Obj, port: int) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((service["spec"]["clusterIP"], port))
        except PermissionError as error:  # a port below 1024, and not root
            listener.close()
            self._actor.event(service, "FailedToListen", str(error), "Warning")
            return
        listener.listen(128)
        self._open[key][port] = listener
        threading.Thread(target=self._accept, args=(key, port, listener), daemon=True).start()

    def _accept(self, key: Key, port: int, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(key, port, client), daemon=True).start()

    def _pass_on(self, key: Key, port: int, client: socket.socket) -> None:
        with client:
            target = self._draw(key, port)
            if target is None:
                return
            try:
                server = socket.create_connection(target, 5)
            except OSError:
                return
            server.settimeout(None)
            with server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()

    def _draw(self, key: Key, port: int) -> tuple[str, int] | None:
        targets = self._targets(key, port)
        with self._lock:
            return self._random.choice(targets) if targets else None

    def _targets(self, key: Key, port: int) -> list[tuple[str, int]]:
        """The addresses of the pods that are ready."""
        service = self._actor.get("Service", *key)
        found = self._actor.get("Endpoints", *key)
        if service is None or found is None:
            return []
        named = next(p.get("name", "") for p in service["spec"]["ports"] if p["port"] == port)
        return [
            (str(address["ip"]), int(each["port"]))
            for subset in found.get("subsets", ())
            for each in subset["ports"]
            if each.get("name", "") == named
            for address in subset.get("addresses", ())
        ]

    def _write_hosts(self) -> None:
        lines = ["127.0.0.1 localhost"]
        for service in self._actor.all("Service"):
            address = service["spec"].get("clusterIP", "None")
            name, space = service["metadata"]["name"], service["metadata"]["namespace"]
            if address not in ("None", ""):
                names = f"{name}.{space}.svc.cluster.local {name}.{space}.svc {name}.{space}"
                lines.append(f"{address} {names} {name}")
        self._hosts.write_text("\n".join(lines) + "\n")

    def stop(self) -> None:
        for listeners in self._open.values():
            for listener in listeners.values():
                _close(listener)


def _close(listener: socket.socket) -> None:
    """Wake whoever waits for a connection there, and close it."""
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(_PART):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
