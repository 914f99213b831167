"""Lint of executors, images and the folders that images are built from."""

from collections.abc import Iterator
from typing import Final

from specs.loading.load import LoadedSpec
from specs.loading.problems import Problem
from specs.loading.tree import YamlPath
from specs.model import Environment, Pipeline, Step, place_of
from specs.resources import Resources

ELSEWHERE: Final = "elsewhere"
"""The code of problems that depend on the machine or on this version: a warning for the author of a
spec, an error on a controller."""
_CONTAINED: Final = {"docker", "kubernetes"}


def lint_images(loaded: LoadedSpec, pipeline: Pipeline) -> Iterator[Problem]:
    """Problems with `executor`, `image`, `build` and `network`, and settings they make useless."""
    parts: dict[str | None, tuple[YamlPath, Environment | Step]] = {
        None: (("environment",), pipeline.environment),
        **{name: (place_of(name), step) for name, step in pipeline.commands.items()},
    }
    for name, (path, part) in parts.items():
        yield from _part(loaded, path, part, pipeline.executor_of(name))
        bare = pipeline.image_of(name) is None and pipeline.build_of(name) is None
        if part.executor in _CONTAINED and bare and (name or _is_shared(pipeline)):
            message = "a container needs an image: add `image`"
            if part.executor == "docker":
                message += ", or `build` with the folder of a Dockerfile"
            yield loaded.problem("no-image", (*path, "executor"), message, at_key=True)
    target = pipeline.release.on_cluster if pipeline.release is not None else None
    serve = pipeline.release.serve if pipeline.release is not None else None
    by_format = serve is not None and serve.format is not None
    if target is not None and not by_format and pipeline.image_of(None) is None:
        message = f"`deployer: {target}` needs the server's image: add `environment.image`"
        if pipeline.build_of(None) is not None:
            message += "; a cluster pulls it from a registry, so push what `build` makes"
        yield loaded.problem("no-image", ("release",), message, at_key=True)
    for name, step in pipeline.commands.items():
        is_step = name in pipeline.steps  # `network` is true by default for a fetch
        if is_step and step.network and pipeline.executor_of(name) == "local":
            message = "`network` has no effect here: a local process always has network access"
            yield _no_effect(loaded, (*place_of(name), "network"), message)
    everywhere = {pipeline.executor_of(name) for name in parts}
    if everywhere <= _CONTAINED:
        for key in ("requirements", "project", "python"):
            if getattr(pipeline.environment, key) is not None:
                message = f"`{key}` has no effect in containers: install it in the image"
                yield _no_effect(loaded, ("environment", key), message)


def _part(
    loaded: LoadedSpec, path: YamlPath, part: Environment | Step, executor: str
) -> Iterator[Problem]:
    if part.image is not None and part.build is not None:
        message = "`image` and `build` exclude each other: remove one"
        yield loaded.problem("two-images", (*path, "build"), message, at_key=True)
    for key in ("image", "build"):
        if getattr(part, key) is not None and executor == "local":
            message = f"`{key}` has no effect if `executor` is local"
            yield _no_effect(loaded, (*path, key), message)
    if part.build is not None and executor == "kubernetes":
        message = "a cluster pulls images from a registry: push what this folder builds, and name "
        message += "it by `image`"
        yield loaded.problem("build-on-cluster", (*path, "build"), message, at_key=True)
    if executor != "kubernetes":
        yield from _only_on_cluster(loaded, path, part)
    if part.image is not None and executor in _CONTAINED and "@sha256:" not in part.image:
        message = "a tag may point to another image tomorrow: pin it as name@sha256:DIGEST"
        yield loaded.problem("unpinned-image", (*path, "image"), message, severity="warning")


def _only_on_cluster(
    loaded: LoadedSpec, path: YamlPath, part: Environment | Step
) -> Iterator[Problem]:
    given = part.resources or Resources()
    places = {
        ("profile",): part.profile is not None,
        ("queue",): part.queue is not None,
        ("resources", "gpu"): given.gpu is not None,
        ("resources", "devices"): bool(given.devices),
        ("train",): getattr(part, "train", None) is not None,
    }
    for place, is_there in places.items():
        if is_there:
            message = f"`{place[-1]}` has no effect unless `executor` is kubernetes"
            yield _no_effect(loaded, (*path, *place), message)


def _is_shared(pipeline: Pipeline) -> bool:
    """Whether a step or the server runs as the environment says."""
    own = (pipeline.image_of(name) or pipeline.build_of(name) for name in pipeline.commands)
    return pipeline.release is not None or not all(own)


def _no_effect(loaded: LoadedSpec, path: YamlPath, message: str) -> Problem:
    return loaded.problem("no-effect", path, message, severity="warning", at_key=True)
