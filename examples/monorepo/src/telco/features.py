"""A customer as numbers: the same for training, evaluation and serving, and for every team."""

from collections.abc import Mapping
from datetime import date

from dateutil.relativedelta import relativedelta

PLANS = ("prepaid", "contract", "family")
CALLS_COUNT_UP_TO = 8
"""More calls to the hotline than this make no difference."""


def features(customer: Mapping[str, object]) -> list[float]:
    """The features of a customer. Raises KeyError or ValueError if a value is missing."""
    joined, last = (date.fromisoformat(str(customer[day])) for day in ("joined", "last_bill"))
    stayed = relativedelta(last, joined)
    months = 12 * stayed.years + stayed.months
    calls = min(int(str(customer["calls"])), CALLS_COUNT_UP_TO)
    plan = [float(customer["plan"] == name) for name in PLANS]
    return [1.0, months / 12 - 2.5, calls / 4 - 0.5, *plan]
