"""Logistic regression in plain Python, small enough to read."""

import math
from collections.abc import Sequence


def probability(weights: Sequence[float], values: Sequence[float]) -> float:
    """The probability that a model with these weights predicts."""
    total = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def fit(rows: Sequence[tuple[Sequence[float], int]], rounds: int) -> list[float]:
    """The weights after `rounds` rounds of gradient descent."""
    weights = [0.0] * len(rows[0][0])
    for _ in range(rounds):
        slopes = [0.0] * len(weights)
        for values, label in rows:
            off = probability(weights, values) - label
            for place, value in enumerate(values):
                slopes[place] += off * value / len(rows)
        weights = [weight - slope for weight, slope in zip(weights, slopes, strict=True)]
    return weights
