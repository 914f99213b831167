"""PURE. How KServe's objects are named after an environment and its servers."""

import hashlib
import re
from typing import Final

_LONGEST_WORKLOAD: Final = 63
_READABLE: Final = 20
"""Of the place, in a service's name: KServe makes host names of it, with a namespace and more."""
_VERSION: Final = re.compile(r"-(v[0-9]{1,6}-[0-9a-f]{6,12})$")


def service_name(owner: str, place: str) -> str:
    """The name of an environment's InferenceService. Controllers with other owners have others."""
    about = hashlib.sha256(f"{owner}/{place}".encode()).hexdigest()[:6]
    readable = re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-")
    if not readable[:1].isalpha():
        readable = f"p-{readable}".strip("-")
    return f"{readable[:_READABLE].strip('-')}-{about}"


def predictor_name(server: str) -> str:
    """The name of a server's predictor: its version, if its name says one, or a digest."""
    found = _VERSION.search(server)
    if found is not None:
        return found.group(1)
    return "s" + hashlib.sha256(server.encode()).hexdigest()[:10]


def workload_name(service: str, predictor: str) -> str:
    """The name that KServe gives a predictor's Deployment and its Service."""
    name = f"{service}-{predictor}-predictor"
    assert len(name) <= _LONGEST_WORKLOAD
    return name
