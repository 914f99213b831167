"""Contracts for tests, which the reference implementation of the standard accepts, too."""

import json
from collections.abc import Mapping
from typing import Any

import pyodcs

from validators.data.contracts.reading import read_expectations
from validators.data.suites.suite import Suite


def contract(
    *properties: Mapping[str, Any], quality: list[Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A contract of one object."""
    orders: dict[str, Any] = {"name": "orders", "properties": list(properties)}
    if quality is not None:
        orders["quality"] = quality
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "orders",
        "version": "1.0.0",
        "status": "active",
        "schema": [orders],
        **more,
    }


def is_standard(content: Mapping[str, Any]) -> bool:
    """Whether the reference implementation finds nothing wrong."""
    parsed = pyodcs.parse(json.dumps(content), "json")
    return not pyodcs.validate_result(parsed)["diagnostics"]


def read(content: Mapping[str, Any], dataset: str = "orders", part: str | None = None) -> Suite:
    assert is_standard(content), pyodcs.validate_result(pyodcs.parse(json.dumps(content), "json"))
    return read_expectations(
        json.dumps(content), "contracts/orders.odcs.json", like=dataset, part=part
    )


def asked(content: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The expectations but those that columns exist; nothing else may have been found."""
    suite = read(content)
    assert suite.problems == ()
    assert suite.unchecked == ()
    return [
        (one.type.removeprefix("expect_"), one.kwargs)
        for one in suite.expectations
        if one.type != "expect_column_to_exist"
    ]


def not_checked(content: Mapping[str, Any]) -> list[str]:
    suite = read(content)
    assert suite.problems == ()
    return [one.message.removeprefix("not checked: ") for one in suite.unchecked]
