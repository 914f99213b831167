"""Seeded traffic through a router that draws arms, for the judge's tests."""

from collections.abc import Iterator
from random import Random

from specs.traffic import Arm, Exchange


def requests(
    seed: int,
    seconds: float,
    *,
    rate: float = 100,
    share: float = 0.05,
    errors: tuple[float, float] = (0.001, 0.001),
    slower: float = 1.0,
    start: float = 0.0,
    refused: tuple[float, float] = (0.0, 0.0),
    refusal: int = 422,
) -> Iterator[Exchange]:
    """Requests at a steady rate; errors of stable and canary, canary `slower` by that factor.

    Of what does not fail, a share is `refused`, of stable and of the canary.
    """
    random = Random(seed)
    for i in range(round(rate * seconds)):
        canary = random.random() < share
        failed = random.random() < errors[canary]
        status = 500 if failed else 200
        if not failed and refused[canary] and random.random() < refused[canary]:
            status = refusal
        latency = random.lognormvariate(-3, 0.5) * (slower if canary else 1)
        yield Exchange(
            seq=i,
            at=start + i / rate,
            arm=Arm.CANARY if canary else Arm.STABLE,
            probability=share,
            status=status,
            latency=latency,
            size=random.randint(90, 110),
            content="application/json",
        )


def history(seed: int = 0, count: int = 4000) -> list[Exchange]:
    """Stable's traffic before the canary."""
    return list(requests(seed, count / 100, share=0.0, start=-count / 100))


def exchange(
    *,
    at: float = 0.0,
    canary: bool = False,
    share: float = 0.5,
    status: int = 200,
    latency: float = 0.05,
    unit: str | None = None,
    size: int = 100,
    content: str = "application/json",
) -> Exchange:
    """One request."""
    arm = Arm.CANARY if canary else Arm.STABLE
    return Exchange(0, at, arm, share, status, latency, unit, size, content)
