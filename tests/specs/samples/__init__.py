"""Specs that several tests read."""

from pathlib import Path

HERE = Path(__file__).parent

FLIGHT_DELAY = (HERE / "flight-delay.yaml").read_text()
"""The sample of the design."""

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
"""What lies beside the flight-delay spec."""
