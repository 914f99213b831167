"""The form of names, and how to make a name from free text."""

import re

PIPELINE_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
"""A DNS label, because pipelines name branches, folders, containers and Kubernetes objects."""

PART_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""Names of steps, datasets, inputs, outputs and parameters, as in `{inputs.x}` and `steps.x.y`."""

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Names of environment variables and secrets, as in POSIX."""

LONGEST = 63
"""Characters in the longest name, which is the limit of a DNS label."""

_PIPELINE = re.compile(PIPELINE_PATTERN.replace("$", r"\Z"))
_PART = re.compile(PART_PATTERN.replace("$", r"\Z"))


def is_pipeline_name(text: str) -> bool:
    """Whether `text` can name a pipeline."""
    return len(text) <= LONGEST and _PIPELINE.match(text) is not None


def is_part_name(text: str) -> bool:
    """Whether `text` can name a step, a dataset, an input, an output or a parameter."""
    return len(text) <= LONGEST and _PART.match(text) is not None


def slug(text: str) -> str:
    """The closest valid pipeline name for `text`; `pipeline` if none of its characters is valid.

    Idempotent.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    joined = "-".join(words).lstrip("0123456789-")[:LONGEST].rstrip("-")
    return joined or "pipeline"
