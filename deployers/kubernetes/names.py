"""PURE. How objects in a cluster are named and labelled, so that it is certain whose they are."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER: Final = "headgate.dev/owner"
"""The label with the identity of the controller's home, which its artifacts have, too."""
PLACE: Final = "headgate.dev/place"
"""The label with a form of the place, which all that serves there has; and the annotation with the
place itself."""
SERVER: Final = "headgate.dev/server"
"""The label with a form of a server's name, and the annotation with the name itself."""
ROLE: Final = "headgate.dev/role"
"""The label that says what a pod of a place is: `server` or `router`."""

_LONGEST = 50
"""Pods are named after what makes them, with a dash and more; a host name has 63 at most."""
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def object_name(*about: str) -> str:
    """The name of the objects of what the last word names and the others lead to, such as owner,
    place and server. The digest of all tells apart what else would have one name."""
    digest = hashlib.sha256("/".join(about).encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", about[-1].lower()).strip("-")
    return f"hg-{readable[: _LONGEST - len(digest) - 4].strip('-')}-{digest}"


def label_value(text: str) -> str:
    """The text as the value of a label: as it is, if that is allowed, else shortened and with a
    digest."""
    if _LABEL.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[: _LONGEST_LABEL - 11].strip("._-")
    return f"{plain}-{digest}" if plain else digest


def owned(owner: str) -> Mapping[str, str]:
    """The labels that all objects of an owner have."""
    return {MANAGED_BY: "headgate", OWNER: label_value(owner)}


def place_labels(owner: str, place: str) -> dict[str, str]:
    """The labels of all that serves at a place."""
    pipeline, _, environment = place.partition("/")
    return {
        **owned(owner),
        PLACE: label_value(place),
        "headgate.dev/pipeline": label_value(pipeline),
        "headgate.dev/environment": label_value(environment),
    }


def selector(labels: Mapping[str, str]) -> str:
    """What selects all objects with these labels."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def is_of(obj: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Whether an object has all of these labels."""
    metadata = obj["metadata"]
    assert isinstance(metadata, Mapping)
    return labels.items() <= (metadata.get("labels") or {}).items()
