"""PURE. One rule that changed."""

from controller.machine.core import Value


class Change(Value):
    """One rule that is not what it was."""

    rule: str
    """Where it stands in the spec: `gates.model.checks: roc_auc at least 0.6`."""
    was: str
    now: str
    loosens: bool
    """Whether a candidate that was stopped before could pass now."""
