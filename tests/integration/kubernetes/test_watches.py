"""Watches on the real API server: resumed, too old, cut off. README.md beside this tells more."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene
from tests.servers.kubernetes.handle import Kubernetes

pytestmark = pytest.mark.kubernetes


class Watched:
    """The ConfigMaps of a namespace, or its events."""

    def __init__(self, http: httpx.Client, scene: Scene, kind: str = "configmaps") -> None:
        self._http = http
        self.path = f"/api/v1/namespaces/{scene.name}/{kind}"

    def version(self) -> str:
        """The version of the list."""
        listed = self._http.get(self.path).raise_for_status().json()
        return str(listed["metadata"]["resourceVersion"])

    def put(self, name: str) -> str:
        """Create a ConfigMap; returns its version."""
        answer = self._http.post(self.path, json={"metadata": {"name": name}}).raise_for_status()
        return str(answer.json()["metadata"]["resourceVersion"])

    def change(self, name: str, **data: str) -> None:
        """Change its content."""
        kind = {"content-type": "application/merge-patch+json"}
        body = json.dumps({"data": data})
        self._http.patch(f"{self.path}/{name}", content=body, headers=kind).raise_for_status()

    def delete(self, name: str) -> None:
        """Delete it."""
        self._http.delete(f"{self.path}/{name}").raise_for_status()

    @contextmanager
    def open(self, version: str, **params: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The events after that version, as they come."""
        asked = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "20", **params}
        with self._http.stream("GET", self.path, params=asked) as answer:
            answer.raise_for_status()
            yield map(json.loads, _lines(answer))

    def since(self, version: str, count: int) -> list[dict[str, Any]]:
        """The first events after that version."""
        with self.open(version) as events:
            return list(islice(events, count))


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    """An event each. Never by `iter_lines`, which also cuts at U+0085 in an object's text."""
    rest = b""
    for chunk in answer.iter_raw():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"]["metadata"]["name"]) for each in events]


@pytest.fixture
def watched(http: httpx.Client, scene: Scene) -> Watched:
    """What is watched; nothing is in it."""
    return Watched(http, scene)


def test_a_watch_goes_on_where_another_ended(watched: Watched) -> None:
    began = watched.version()
    watched.put("a")
    watched.put("b")
    watched.change("a", depth="2")
    watched.delete("b")

    first = watched.since(began, 2)
    seen = first[-1]["object"]["metadata"]["resourceVersion"]
    rest = watched.since(seen, 2)

    assert _told(first) == [("ADDED", "a"), ("ADDED", "b")]
    assert _told(rest) == [("MODIFIED", "a"), ("DELETED", "b")]
    # The version of what was deleted is that of its deletion, so it can be gone on from, too.
    watched.put("c")
    last = rest[-1]["object"]["metadata"]["resourceVersion"]
    assert _told(watched.since(last, 1)) == [("ADDED", "c")]


def test_a_line_break_of_unicode_in_a_text_ends_no_event(watched: Watched) -> None:
    """The server escapes U+2028 and not U+0085, both of which end a line for `str.splitlines`."""
    began = watched.version()
    watched.put("a")
    watched.change("a", text="one\u0085two\u2028three")

    told = watched.since(began, 2)[-1]

    assert told["object"]["data"] == {"text": "one\u0085two\u2028three"}


def test_of_an_uncached_kind_what_was_compacted_is_gone(
    kubernetes: Kubernetes, http: httpx.Client, scene: Scene, watched: Watched
) -> None:
    """Events are the kind that an API server keeps no cache of: etcd itself answers."""
    began = watched.version()
    watched.put("a")
    watched.put("b")
    kubernetes.compact()

    (told,) = Watched(http, scene, "events").since(began, 1)

    assert told["type"] == "ERROR"
    assert (told["object"]["code"], told["object"]["reason"]) == (410, "Expired")


def test_a_cached_kind_is_answered_in_spite_of_compaction(
    kubernetes: Kubernetes, watched: Watched
) -> None:
    began = watched.version()
    watched.put("a")
    kubernetes.compact()

    assert _told(watched.since(began, 1)) == [("ADDED", "a")]


def test_a_page_after_compaction_is_gone(
    kubernetes: Kubernetes, http: httpx.Client, watched: Watched
) -> None:
    watched.put("a")
    watched.put("b")
    page = http.get(watched.path, params={"limit": 1}).json()
    watched.change("a", depth="2")
    kubernetes.compact()

    again = {"limit": 1, "continue": page["metadata"]["continue"]}
    answer = http.get(watched.path, params=again)

    said = answer.json()
    assert (answer.status_code, said["reason"]) == (410, "Expired")
    assert said["metadata"]["continue"]  # for the rest, as it is now


def test_a_bookmark_tells_how_far_the_others_are(
    http: httpx.Client, scene: Scene, watched: Watched
) -> None:
    """It comes two seconds before the end, if the kind changed in any namespace meanwhile."""
    elsewhere = Watched(http, Scene(scene.kubernetes, scene.client))

    with watched.open(watched.version(), allowWatchBookmarks="true", timeoutSeconds="5") as events:
        changed = elsewhere.put("a")
        marks = list(events)

    assert {each["type"] for each in marks} == {"BOOKMARK"}  # one or two
    last = marks[-1]["object"]
    assert last["kind"] == "ConfigMap"
    assert int(last["metadata"]["resourceVersion"]) >= int(changed)
    assert "name" not in last["metadata"]


def test_without_a_change_there_is_no_bookmark(watched: Watched) -> None:
    with watched.open(watched.version(), allowWatchBookmarks="true", timeoutSeconds="5") as events:
        assert list(events) == []


def test_after_a_restart_what_was_before_is_gone_for_cached_kinds_too(
    kubernetes: Kubernetes, watched: Watched
) -> None:
    began = watched.version()
    watched.put("a")
    watched.put("b")
    watched.delete("b")
    kubernetes.stop("kube-apiserver")
    kubernetes.start("kube-apiserver")

    (told,) = watched.since(began, 1)

    assert told["type"] == "ERROR"
    assert (told["object"]["code"], told["object"]["reason"]) == (410, "Expired")
    assert told["object"]["message"].startswith(f"too old resource version: {began} (")
