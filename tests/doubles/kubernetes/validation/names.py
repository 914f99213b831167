"""Names, labels and annotations: their forms, as the server's messages put them."""

import re
from collections.abc import Iterator
from typing import Any

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import FieldError, invalid_value, required

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_QUALIFIED})?"
ANNOTATIONS = 256 * 1024
"""Bytes that all annotations of an object may have."""

_DNS_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for "
    f"validation is '{_LABEL}')"
)
_DNS_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for "
    f"validation is '{_SUBDOMAIN}')"
)
_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    f"'12345', regex used for validation is '{_VALUE}')"
)
_QUALIFIED_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{_QUALIFIED}')"
)


def is_label(text: str) -> bool:
    return len(text) <= 63 and re.fullmatch(_LABEL, text) is not None


def is_subdomain(text: str) -> bool:
    return len(text) <= 253 and re.fullmatch(_SUBDOMAIN, text) is not None


def label_errors(field: str, text: Any) -> Iterator[FieldError]:
    """What is wrong with a DNS label."""
    if len(str(text)) > 63:
        yield invalid_value(field, text, "must be no more than 63 characters")
    if not re.fullmatch(_LABEL, str(text)):
        yield invalid_value(field, text, _DNS_LABEL)


def name_errors(kind: Kind, name: str, field: str = "metadata.name") -> Iterator[FieldError]:
    """What is wrong with the name of an object."""
    if kind.path:
        if name in (".", "..") or "/" in name or "%" in name:
            yield invalid_value(field, name, "may not be '.' or '..' or contain '/' or '%'")
    elif not kind.subdomain:
        yield from label_errors(field, name)
    else:
        if len(name) > 253:
            yield invalid_value(field, name, "must be no more than 253 characters")
        if not re.fullmatch(_SUBDOMAIN, name):
            yield invalid_value(field, name, _DNS_SUBDOMAIN)


def key_errors(field: str, key: str) -> Iterator[FieldError]:
    """What is wrong with the key of a label, annotation or taint."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        yield invalid_value(field, key, f"prefix part {_DNS_SUBDOMAIN}")
    if not name:
        yield invalid_value(field, key, "name part must be non-empty")
    if len(name) > 63:
        yield invalid_value(field, key, "name part must be no more than 63 characters")
    if not re.fullmatch(_QUALIFIED, name):
        yield invalid_value(field, key, _QUALIFIED_NAME)


def value_errors(field: str, value: Any) -> Iterator[FieldError]:
    """What is wrong with the value of a label."""
    if len(str(value)) > 63:
        yield invalid_value(field, value, "must be no more than 63 characters")
    if not re.fullmatch(_VALUE, str(value)):
        yield invalid_value(field, value, _LABEL_VALUE)


def labels_errors(field: str, labels: Obj) -> Iterator[FieldError]:
    for key, value in labels.items():
        yield from key_errors(field, key)
        yield from value_errors(field, value)


def metadata_errors(kind: Kind, meta: Obj) -> Iterator[FieldError]:
    """What is wrong with the metadata of an object."""
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from name_errors(kind, name)
    yield from labels_errors("metadata.labels", meta.get("labels", {}))
    annotations = meta.get("annotations", {})
    for key in annotations:
        yield from key_errors("metadata.annotations", key.lower())
    size = sum(len(k.encode()) + len(str(v).encode()) for k, v in annotations.items())
    if size > ANNOTATIONS:
        why = f"must have at most {ANNOTATIONS} bytes"
        yield FieldError("FieldValueTooLong", "metadata.annotations", f"Too long: {why}")
    for index, ref in enumerate(meta.get("ownerReferences", ())):
        for needed in ("apiVersion", "kind", "name", "uid"):
            if not ref.get(needed):
                field = f"metadata.ownerReferences[{index}].{needed}"
                yield invalid_value(field, "", f"{needed} must not be empty")
    for finalizer in meta.get("finalizers", ()):
        yield from key_errors("metadata.finalizers", finalizer)
