"""Which arm a request goes to: a draw that is random to callers and can be checked from the log."""

from hashlib import blake2b

from specs.traffic import Arm

_SCALE = 2.0**-53


def pseudonym(unit: bytes) -> str:
    """Stands for a unit in draws and records, so that they contain no session names."""
    return blake2b(unit, digest_size=8).hexdigest()


def draw(seed: int, at: float, unit: str | None) -> float:
    """A number in [0, 1) derived from the seed and the unit, or from the arrival time without one.

    A unit keeps its number, so it stays with the canary while the canary's share grows. The
    time is part of the record, does not start over when the router restarts as a counter would,
    and is hashed, so the draw is independent of it for all practical purposes.
    """
    key = f"{seed}/{at!r}" if unit is None else f"{seed}/{unit}"
    digest = blake2b(key.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * _SCALE


def assign(seed: int, probability: float, at: float, unit: str | None) -> Arm:
    """The arm of a request, given the canary's share in effect."""
    return Arm.CANARY if draw(seed, at, unit) < probability else Arm.STABLE
