"""The errors of the API: each is a Status with its code, reason, message and details."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj


class StatusError(Exception):
    """A request that the server refuses."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self.meta: Obj = {}
        """The metadata of the Status."""

    def body(self) -> Obj:
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.meta,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


class FieldError(NamedTuple):
    """What is wrong with one field."""

    reason: str
    """As `FieldValueInvalid`."""
    field: str
    message: str


def required(field: str, more: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "Required value" + (more and f": {more}"))


def shown(value: Any) -> str:
    """A value as the server's messages show it."""
    return to_json(value).decode()


def invalid_value(field: str, value: Any, why: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def unsupported(field: str, value: Any, allowed: Sequence[str]) -> FieldError:
    names = ", ".join(f'"{each}"' for each in allowed)
    message = f"Unsupported value: {shown(value)}: supported values: {names}"
    return FieldError("FieldValueNotSupported", field, message)


def forbidden_field(field: str, why: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {why}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def absent(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, f"Not found: {shown(value)}")


def _named(kind: Kind, name: str, by_kind: bool = False) -> Obj:
    said = {"name": name, "group": kind.group, "kind": kind.name if by_kind else kind.plural}
    return {key: value for key, value in said.items() if value}


def not_found(kind: Kind, name: str) -> StatusError:
    message = f'{kind.resource} "{name}" not found'
    return StatusError(404, "NotFound", message, _named(kind, name))


def already_exists(kind: Kind, name: str) -> StatusError:
    message = f'{kind.resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _named(kind, name))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(kind: Kind, name: str, why: str = MODIFIED) -> StatusError:
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return StatusError(409, "Conflict", message, _named(kind, name))


def invalid(kind: Kind, name: str, errors: Sequence[FieldError]) -> StatusError:
    said = [f"{error.field}: {error.message}" for error in errors]
    whole = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
    causes = [
        {"reason": error.reason, "message": error.message, "field": error.field} for error in errors
    ]
    details = {**_named(kind, name, by_kind=True), "causes": causes}
    return StatusError(422, "Invalid", f'{qualified} "{name}" is invalid: {whole}', details)


def options_error(options: str, problem: FieldError) -> StatusError:
    """Options of a call that are wrong, as of `PatchOptions`."""
    message = f'{options}.meta.k8s.io "" is invalid: {problem.field}: {problem.message}'
    cause = {"reason": problem.reason, "message": problem.message, "field": problem.field}
    details = {"group": "meta.k8s.io", "kind": options, "causes": [cause]}
    return StatusError(422, "Invalid", message, details)


def forbidden(kind: Kind, name: str, why: str) -> StatusError:
    what = f'{kind.resource} "{name}"' if name else kind.resource
    return StatusError(403, "Forbidden", f"{what} is forbidden: {why}", _named(kind, name))


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def not_allowed() -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message)


def no_such_path() -> StatusError:
    message = "the server could not find the requested resource"
    return StatusError(404, "NotFound", message)
