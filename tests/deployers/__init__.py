"""Tests of the deployers, and what they share."""

from pathlib import Path


def model_server_path() -> Path:
    """The script of the model server that tests deploy."""
    return Path(__file__).with_name("model_server.py")
