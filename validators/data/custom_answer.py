"""What the process of custom expectations answers: counts, and never a value of the data."""

from typing import Annotated, Final

from pydantic import Field

from validators.data.suites.outcome import ExpectationOutcome
from validators.report import GREAT_EXPECTATIONS, GateValue

STARTED: Final = b"started"
"""The line once it waits for a line to import the module."""
READY: Final = b"ready"
"""The line once the module is imported."""
FAILED: Final = b"failed "
"""The start of the line if it cannot be, before the reason."""

_Count = Annotated[int, Field(ge=0)]
# Lengths are no part of the patterns: `\w{1,200}` takes a tenth of a second to compile.
_Words = Annotated[str, Field(pattern=r"^[\w .,:;`'()/-]+$", max_length=200)]


class CustomAnswer(GateValue):
    """The outcome of one expectation."""

    success: bool = False
    unexpected: _Count | None = None
    evaluated: _Count | None = None
    observed: float | None = None
    n: _Count | None = None
    nothing: bool = False
    """Whether there was nothing to check."""
    raised: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=81)] | None = None
    """The class of an exception."""
    refused: _Words | None = None
    """Why it cannot be evaluated at all."""

    def outcome(self, place: int) -> ExpectationOutcome:
        """The outcome of the expectation at a place."""
        return ExpectationOutcome(
            place=place,
            success=self.success,
            unexpected=self.unexpected,
            evaluated=self.evaluated,
            observed=self.observed,
            n=self.n,
            nothing="no row meets its condition" if self.nothing else None,
            raised=self.raised,
            refused=self.refused,
            engine=GREAT_EXPECTATIONS,
        )

    @classmethod
    def of(cls, outcome: ExpectationOutcome, n: int) -> "CustomAnswer":
        """What is told of an outcome."""
        observed = outcome.observed
        return cls(
            success=outcome.success,
            unexpected=outcome.unexpected,
            evaluated=outcome.evaluated,
            observed=float(observed) if isinstance(observed, int | float) else None,
            n=n,
            raised=outcome.raised,
        )
