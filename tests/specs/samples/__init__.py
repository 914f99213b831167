"""Specs that several tests use."""

from pathlib import Path

HERE = Path(__file__).parent

FLIGHT_DELAY = (HERE / "flight-delay.yaml").read_text()
"""The sample of the design document."""

SMALLEST = (HERE / "smallest.yaml").read_text()
"""The smallest spec that does everything: data gate, model gate, canary."""

TEN_MISTAKES = (HERE / "ten-mistakes.yaml").read_text()

FILES = (
    "evaluate.py",
    "expectations/flights.yaml",
    "requirements.txt",
    "serve.py",
    "smoke/request.json",
    "train.py",
)
"""The files beside the flight-delay spec."""
