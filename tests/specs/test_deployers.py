"""Who deploys, and the scripts that `deployer: command` needs."""

import re
from typing import Any

import pytest

from specs.counters import PRESETS, BackendCounters
from specs.lint.check import check
from specs.loading.load import load

SPEC = """apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: mean}}
steps: {{train: {{run: "x {{outputs.model}}", outputs: {{model: m.json}}}}}}
model: steps.train.model
release:
  serve: {{run: "serve {{model}} {{port}}"}}
{release}"""

SCRIPTS = """  command:
    apply: python deploy.py apply
    observe: python deploy.py observe
    traffic: python deploy.py traffic
    remove: python deploy.py {root}
"""


COUNTED = """  production: {{deployer: command}}
  command:
    apply: python deploy.py apply
    observe: python deploy.py observe
    remove: python deploy.py remove
    prometheus: {{{counters}}}
"""
NGINX = "preset: nginx, where: {ingress: mean}"


def loaded(release: str) -> Any:
    return load(SPEC.format(release=release).encode(), "ml-pipeline.yaml")


def test_an_environment_is_deployed_by_headgate_unless_it_names_scripts() -> None:
    release = loaded(f"{SCRIPTS}  production: {{deployer: command}}\n").pipeline.release
    assert release.scripts_for("production") == release.command
    assert release.scripts_for("staging") is None
    assert release.command.split == "draw"
    assert loaded("").pipeline.release.scripts_for("production") is None


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("  production: {deployer: command}\n", "with the scripts for `production.deployer"),
        ("  staging: {deployer: command}\n", "with the scripts for `staging.deployer"),
        (SCRIPTS, "without it the scripts in `command` are never run"),
        (f"{SCRIPTS}  production: {{deployer: comand}}\n", "command"),
    ],
)
def test_a_deployer_without_scripts_and_scripts_without_a_deployer_are_told(
    release: str, words: str
) -> None:
    problems = loaded(release).problems
    assert any(words in f"{one.message} {one.expected} {one.nearest}" for one in problems), problems


def on_cluster(serve: str, release: str, environment: str = "image: x@sha256:0f") -> Any:
    text = SPEC.format(release=release)
    text = text.replace('serve: {run: "serve {model} {port}"}', f"serve: {{run: serve{serve}}}")
    return load(f"{text}environment: {{{environment}}}\n".encode(), "ml-pipeline.yaml")


def test_a_server_on_a_cluster_says_what_its_pods_need() -> None:
    given = ", replicas: 3, profile: gpu, resources: {memory: 4Gi, gpu: 1}"
    release = on_cluster(given, "  production: {deployer: kubernetes}\n").pipeline.release
    assert release.deployer_for("production") == "kubernetes"
    assert release.deployer_for("staging") == "local"
    assert release.on_cluster == "kubernetes"
    assert (release.serve.replicas, release.serve.resources.gpu) == (3, 1)
    assert loaded("").pipeline.release.on_cluster is None


@pytest.mark.parametrize("key", ["replicas: 2", "profile: gpu", "resources: {cpu: 1}"])
def test_what_has_a_meaning_on_a_cluster_only_is_refused_elsewhere(key: str) -> None:
    for deployer in ("", "  production: {deployer: local}\n"):
        (problem,) = on_cluster(f", {key}", deployer).problems
        assert f"no `serve.{key.partition(':')[0]}` without" in problem.expected


def test_a_batch_has_no_deployer() -> None:
    text = SPEC.format(release="  production: {deployer: kubernetes}\n")
    text = text.replace('serve: {run: "serve {model} {port}"}', "batch: {}")
    (problem,) = load(text.encode(), "ml-pipeline.yaml").problems
    assert "no `deployer` with `batch`" in (problem.expected or "")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("python: '3.12'", "`deployer: kubernetes` needs the server's image: add `environment."),
        ("build: docker", "so push what `build` makes"),
    ],
)
def test_a_server_on_a_cluster_without_an_image_is_told(environment: str, words: str) -> None:
    text = SPEC.format(release="  production: {deployer: kubernetes}\n")
    problems = check(
        f"{text}environment: {{{environment}}}\n".encode(), "ml-pipeline.yaml"
    ).problems
    assert any(one.code == "no-image" and words in one.message for one in problems), problems


def test_one_line_names_the_counters_of_a_gateway_and_its_keys_override_the_preset() -> None:
    release = loaded(COUNTED.format(counters="preset: istio")).pipeline.release
    assert "traffic" not in release.command.commands
    names = release.command.prometheus.names()
    assert (names.server, names.requests, names.unit) == ("default", "istio_requests_total", 0.001)
    assert names.selector() == '{__name__="istio_requests_total",reporter="source"}'
    own = "preset: istio, backend: destination_service_name, where: {namespace: ml}, latency: null"
    names = loaded(COUNTED.format(counters=own)).pipeline.release.command.prometheus.names()
    assert (names.backend, names.latency) == ("destination_service_name", "")
    assert names.where == {"reporter": "source", "namespace": "ml"}
    for preset in PRESETS:
        counters = NGINX if preset == "nginx" else f"preset: {preset}"
        assert loaded(COUNTED.format(counters=counters)).problems == ()


@pytest.mark.parametrize(
    ("counters", "words"),
    [
        ("server: main", "`preset`, one of envoy, traefik, nginx, istio, linkerd, or req"),
        ("requests: asked_total, status: code", "or backend as well"),
        ("preset: nginx", "`where: {ingress: NAME}`"),
        ("preset: envoy, stable: mean, canary: mean", "`stable` and `canary` to differ"),
        ('preset: envoy, requests: "up or vector(1)"', "release.command.prometheus.requests"),
        ('preset: envoy, where: {"a=~b": c}', "release.command.prometheus.where"),
        ("preset: envoy, url: http://127.0.0.1", "url"),
        ("preset: haproxy", "one of envoy, traefik, nginx, istio, linkerd"),
    ],
)
def test_counters_that_cannot_be_read_are_told(counters: str, words: str) -> None:
    problems = loaded(COUNTED.format(counters=counters)).problems
    said = [f"{one.path} {one.message} {one.expected} {one.nearest}" for one in problems]
    assert any(words in one.replace("', '", ".") for one in said), said


def test_traffic_is_told_by_scripts_or_by_counters() -> None:
    both = COUNTED.format(counters="preset: envoy") + "    traffic: python deploy.py traffic\n"
    neither = "\n".join(COUNTED.format(counters="").splitlines()[:-1]) + "\n"
    for release in (both, neither):
        problems = loaded(release).problems
        assert any(one.expected == "one of traffic and prometheus" for one in problems), problems
    units = COUNTED.format(counters="preset: envoy") + "    split: units\n"
    assert any("one user from another" in str(one.expected) for one in loaded(units).problems)


def test_a_pattern_is_a_regular_expression_that_matches_literally_but_for_stars() -> None:
    names = BackendCounters(preset="traefik", stable="*-{server}.a+b@?*").names()
    pattern = names.arm_pattern(names.stable, "mean-v1")
    assert pattern == r".*-mean-v1\.a\+b@..*"
    assert re.fullmatch(pattern, "ns-mean-v1.a+b@file")
    assert not re.fullmatch(pattern, "ns-mean-v1.aab@file")


IMAGE = 'environment: {image: "registry.example/mean@sha256:1"}\nsteps:'


def problems(steps: str, deployer: str = "kserve") -> list[Any]:
    production = f"  production: {{deployer: {deployer}, canary: {{steps: {steps}}}}}\n"
    text = SPEC.format(release=production).replace("steps:", IMAGE, 1)
    found = check(text.encode(), "ml-pipeline.yaml", set()).problems
    return [one for one in found if one.code == "whole-percent"]


def test_kserve_splits_by_whole_percents_only() -> None:
    assert not problems("[1%, 5%, 29%, 100%]")
    assert not problems("[0.5%, 5%]", "kubernetes")
    first, second = problems("[0.4%, 2.5%, 5%]")
    assert "KServe splits traffic by whole percents, and 0.4% is none: write 1%" in first.message
    assert "2.5% is none: write 2%" in second.message
    assert first.severity == "error"


FORMAT = """apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: mean}
steps: {train: {run: "x {outputs.model}", outputs: {model: m.json}}}
model: steps.train.model
release:
  serve: {format: {name: sklearn}}
  staging: {deployer: kserve}
  production: {deployer: kserve}
"""


def of_format(old: str = "", new: str = "") -> list[Any]:
    return list(check(FORMAT.replace(old, new), "ml-pipeline.yaml", set()).problems)


def test_a_model_is_served_by_its_format_without_a_command_or_an_image() -> None:
    assert [one for one in of_format() if one.severity == "error"] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("staging: {deployer: kserve}", "staging: {}", "`staging.deployer: kserve` with"),
        ("{format: {name: sklearn}}", "{}", "one of run and format"),
        ("{name: sklearn}", "{name: sklearn, runtime: No Name}", "runtime"),
        ("{name: sklearn}}", '{name: sklearn}, env: {A: "{params.x}"}}', "no placeholders"),
    ],
)
def test_what_a_format_needs_is_told(old: str, new: str, words: str) -> None:
    said = [f"{one.path} {one.message} {one.expected}" for one in of_format(old, new)]
    assert any(words in one for one in said), said
