"""That the double does as a real API server does, in one random course of writes after another.

A test of the tier with a real server subclasses `KubernetesTwinsContract` and provides `real` and
`double`, clients of both. Not compared are the names of fields in causes of conflicts, as 1.20 says
some wrong (two conflicts of one apply may both bear the name of one), and what sets of fields say
of empty parts, of which it leaves some out.
"""

import copy
import random
import uuid
from typing import Any

import httpx
import pytest

from tests.contracts.kubernetes_caller import MERGE_PATCH, ApiCaller, Obj, ok

COURSES = 40
WRITES = 8
MANAGERS = ("one", "other")
_PARTS = ("data", "spec")


class KubernetesTwinsContract:
    """Both servers answer the same to the same writes."""

    @pytest.fixture
    def real(self) -> httpx.Client:
        raise NotImplementedError

    @pytest.fixture
    def double(self) -> httpx.Client:
        raise NotImplementedError

    @pytest.mark.parametrize("seed", range(COURSES))
    @pytest.mark.parametrize("plural", ["configmaps", "deployments"])
    def test_both_answer_the_same(
        self, real: httpx.Client, double: httpx.Client, plural: str, seed: int
    ) -> None:
        draw = random.Random(f"{plural} {seed}")
        callers = [_caller(real), _caller(double)]
        course = []
        for _ in range(WRITES):
            write = _write(draw, plural)
            course.append(write)
            first, second = (_answer(caller, plural, copy.deepcopy(write)) for caller in callers)
            assert first == second, course
        for caller in callers:
            caller.patch(plural, "a", MERGE_PATCH, {"metadata": {"finalizers": None}})
            caller.http.delete(f"/api/v1/namespaces/{caller.namespace}")


def _caller(http: httpx.Client) -> ApiCaller:
    name = f"twins-{uuid.uuid4().hex[:10]}"
    ok(http.post("/api/v1/namespaces", json={"metadata": {"name": name}}), 201)
    return ApiCaller(http, name)


def _write(draw: random.Random, plural: str) -> dict[str, Any]:
    obj = _settings(draw) if plural == "configmaps" else _server(draw)
    query = {"fieldManager": draw.choice(MANAGERS)}
    how = draw.choice(["apply", "apply", "apply", "apply", "merge", "put"])
    if how == "apply" and draw.random() < 0.4:
        query["force"] = "true"
    return {"how": how, "obj": obj, "query": query}


def _some(draw: random.Random, words: str, chance: float = 0.6) -> dict[str, str]:
    return {word: draw.choice("12") for word in words if draw.random() < chance}


def _settings(draw: random.Random) -> Obj:
    meta: Obj = {"name": "a"}
    obj: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    if draw.random() < 0.8:
        obj["data"] = _some(draw, "abc")
    if draw.random() < 0.4:
        meta["labels"] = _some(draw, "xy")
    if draw.random() < 0.3:
        meta["finalizers"] = [f"headgate.dev/{each}" for each in _some(draw, "pq")]
    return obj


def _server(draw: random.Random) -> Obj:
    main: Obj = {"name": "main", "image": f"i:{draw.choice('12')}"}
    if draw.random() < 0.6:
        found = _some(draw, "AB")
        main["env"] = [{"name": name, "value": value} for name, value in found.items()]
    if draw.random() < 0.4:
        main["args"] = draw.choice([["x"], ["x", "y"]])
    if draw.random() < 0.4:
        main["ports"] = [{"containerPort": int(f"8{each}")} for each in _some(draw, "12")]
    if draw.random() < 0.4:
        amounts = {"cpu": draw.choice(["1", "1000m", "2"]), "memory": "1Gi"}
        main["resources"] = {"limits": amounts}
    pod: Obj = {"containers": [main]}
    if draw.random() < 0.4:
        pod["tolerations"] = [{"key": f"k{draw.choice('12')}", "operator": "Exists"}]
    if draw.random() < 0.3:
        pod["volumes"] = [{"name": name, "emptyDir": {}} for name in _some(draw, "vw")]
    if draw.random() < 0.3:
        pod["containers"].append({"name": "side", "image": "s:1"})
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec: Obj = {"selector": {"matchLabels": labels}, "template": template}
    if draw.random() < 0.5:
        spec["replicas"] = draw.choice([1, 2])
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def _answer(caller: ApiCaller, plural: str, write: dict[str, Any]) -> tuple[int, Obj]:
    """What of the answer must be the same."""
    obj, query = write["obj"], dict(write["query"])
    if write["how"] == "apply":
        manager = query.pop("fieldManager")
        response = caller.apply(plural, obj, manager, **query)
    elif write["how"] == "merge":
        patch = {part: obj[part] for part in _PARTS if part in obj}
        patch["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "name"}
        response = caller.patch(plural, "a", MERGE_PATCH, patch, **query)
    else:
        response = caller.put(plural, obj, **query)
    body: Obj = response.json()
    if response.status_code >= 300:
        causes = (body.get("details") or {}).get("causes", [])
        return response.status_code, {
            "reason": body["reason"],
            "causes": sorted(each["reason"] for each in causes),
        }
    meta = body["metadata"]
    said = {
        **{part: body.get(part) for part in _PARTS},
        "labels": meta.get("labels"),
        "finalizers": meta.get("finalizers"),
        "generation": meta.get("generation"),
        "managers": {
            f"{each['manager']} {each['operation']}": _without_empty_parts(each["fieldsV1"])
            for each in meta.get("managedFields", ())
            if each["manager"] in MANAGERS
        },
    }
    return response.status_code, _without_nulls(said)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _without_empty_parts(fields: Obj) -> Obj:
    return {
        key: _without_empty_parts(each)
        for key, each in fields.items()
        if each or key not in ("f:emptyDir", "f:resources")
    }
