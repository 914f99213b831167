"""What a name may look like, and how a name is made of free text."""

import re

PIPELINE_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
"""Pipelines name branches, folders, containers and Kubernetes objects, so: a DNS label."""

PART_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""Steps, datasets, inputs, outputs and parameters: what `{inputs.x}` and `steps.x.y` can hold."""

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Environment variables and secrets, as POSIX writes them."""

LONGEST = 63
"""Characters in the longest name: the limit of a DNS label."""

_PIPELINE = re.compile(PIPELINE_PATTERN.replace("$", r"\Z"))
_PART = re.compile(PART_PATTERN.replace("$", r"\Z"))


def is_pipeline_name(text: str) -> bool:
    """Whether `text` can name a pipeline."""
    return len(text) <= LONGEST and _PIPELINE.match(text) is not None


def is_part_name(text: str) -> bool:
    """Whether `text` can name a step, a dataset, an input, an output or a parameter."""
    return len(text) <= LONGEST and _PART.match(text) is not None


def slug(text: str) -> str:
    """The nearest valid pipeline name for `text`; `pipeline` when nothing of it can stay.

    Applying it twice changes nothing.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    joined = "-".join(words).lstrip("0123456789-")[:LONGEST].rstrip("-")
    return joined or "pipeline"
