"""The volumes and the environment of containers, made of what the cluster keeps."""

import base64
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.kubelet.site import NODE_ADDRESS


class ConfigurationError(Exception):
    """Something that a container needs is not there."""


def decoded(data: Mapping[str, str], secret: bool) -> dict[str, bytes]:
    if secret:
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}


class PodFiles:
    """The folders of a pod's volumes."""

    def __init__(self, actor: Actor, pod: Obj, folder: Path, address: str) -> None:
        self._actor = actor
        self._pod = pod
        self._namespace = str(pod["metadata"]["namespace"])
        self._folder = folder / "pods" / str(pod["metadata"]["uid"])
        self._claims = folder / "claims" / self._namespace
        self._address = address

    def prepare(self) -> dict[str, Path]:
        """Make all volumes; ConfigurationError tells of one that cannot be mounted."""
        return {
            volume["name"]: self._volume(volume) for volume in self._pod["spec"].get("volumes", ())
        }

    def path(self, name: str) -> Path:
        """Where a file of the pod's own is."""
        return self._folder / name

    def file(self, name: str) -> Path:
        """An empty file of the pod's own, that its user may write."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o666)
        return path

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _volume(self, volume: Obj) -> Path:
        name = str(volume["name"])
        path = self._folder / "volumes" / name
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        if "persistentVolumeClaim" in volume:
            path = self._claims / str(volume["persistentVolumeClaim"]["claimName"])
            path.mkdir(parents=True, exist_ok=True)
            return path
        path.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            path.chmod(0o777)
            return path
        sources = dig(volume, "projected", "sources", default=[volume])
        for source in sources:
            for file, content in self._content(source):
                target = path / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        return path

    def _content(self, source: Obj) -> Iterable[tuple[str, bytes]]:
        if "serviceAccountToken" in source:
            account = self._pod["spec"]["serviceAccountName"]
            yield source["serviceAccountToken"]["path"], f"token-of-{account}".encode()
            return
        if "downwardAPI" in source:
            for item in source["downwardAPI"].get("items", ()):
                yield item["path"], self.field(item["fieldRef"]["fieldPath"]).encode()
            return
        for kind, at, key in (
            ("Secret", "secret", "secretName"),
            ("ConfigMap", "configMap", "name"),
        ):
            if at not in source:
                continue
            said = source[at]
            name = said.get(key) or said.get("name", "")
            data = self.data(kind, name, bool(said.get("optional")))
            items = said.get("items")
            if items is None:
                yield from data.items()
                return
            for item in items:
                if item["key"] not in data:
                    message = f"references non-existent {kind.lower()} key: {item['key']}"
                    raise ConfigurationError(message)
                yield item["path"], data[item["key"]]
            return
        kinds = ", ".join(key for key in source if key != "name")
        raise ConfigurationError(f"the double has no volumes of the kind {kinds}")

    def data(self, kind: str, name: str, optional: bool = False) -> dict[str, bytes]:
        found = self._actor.get(kind, self._namespace, name)
        if found is None:
            if optional:
                return {}
            raise ConfigurationError(f'{kind.lower()} "{name}" not found')
        return decoded(found.get("data", {}), kind == "Secret")

    def field(self, path: str) -> str:
        """What the downward API tells of the pod."""
        keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path)
        if keyed:
            return str(dig(self._pod, "metadata", keyed[1], keyed[2], default=""))
        told = {"status.podIP": self._address, "status.hostIP": NODE_ADDRESS}
        return told.get(path) or str(dig(self._pod, *path.split("."), default=""))

    def environment(self, container: Obj) -> dict[str, str]:
        """The variables of a container; ConfigurationError for a source that is not there."""
        out: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            prefix = source.get("prefix", "")
            for kind, at in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                if at in source:
                    said = source[at]
                    data = self.data(kind, said["name"], bool(said.get("optional")))
                    out |= {f"{prefix}{key}": value.decode() for key, value in data.items()}
        for env in container.get("env", ()):
            if "valueFrom" in env:
                value = self._from(env["valueFrom"], container)
                if value is not None:
                    out[env["name"]] = value
            else:
                out[env["name"]] = expanded(env.get("value", ""), out)
        return out

    def _from(self, source: Obj, container: Obj) -> str | None:
        if "fieldRef" in source:
            return self.field(source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            part, _, name = source["resourceFieldRef"]["resource"].partition(".")
            return str(dig(container, "resources", part, name, default="0"))
        for kind, at in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
            if at in source:
                said = source[at]
                data = self.data(kind, said["name"], bool(said.get("optional")))
                if said["key"] in data:
                    return data[said["key"]].decode()
                if said.get("optional"):
                    return None
                raise ConfigurationError(
                    f"couldn't find key {said['key']} in {kind} {self._namespace}/{said['name']}"
                )
        raise ConfigurationError(f"the double has no such source of a variable: {source}")


def expanded(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` stands for a variable's value, and `$$` for one dollar."""

    def put(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]+)\)", put, text)
