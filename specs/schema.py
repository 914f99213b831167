"""The JSON Schema of ml-pipeline.yaml, for editors. `python -m specs.schema` prints it."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from specs.base import Spec
from specs.model import Pipeline

SCHEMA_FILE = Path(__file__).with_name("ml-pipeline.schema.json")


@cache
def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what the loader accepts. Callers must not change it."""
    schema = _closed(Pipeline.model_json_schema(by_alias=True, mode="validation"))
    parts = {**schema["$defs"], "Pipeline": schema}
    for model in Spec.__subclasses__():
        if model.__module__.startswith("specs."):
            _write_defaults(parts[model.__name__]["properties"], model)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://headgate.dev/schemas/v1/ml-pipeline.json",
        **schema,
        "title": "ml-pipeline.yaml",
    }


def _write_defaults(properties: dict[str, Any], model: type[Spec]) -> None:
    """Show defaults as a person writes them (`1h`), not as pydantic stores them."""
    defaults = model.model_construct().model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, shape in properties.items():
        shape.pop("default", None)
        if name in defaults:
            shape["default"] = defaults[name]


def _closed(part: Any) -> Any:
    """Reject names that match no pattern, which pydantic's schema would allow."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(each) for key, each in part.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in part else closed


def main() -> None:
    """Print the schema."""
    json.dump(json_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
