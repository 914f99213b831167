"""docs/spec.md: every key of ml-pipeline.yaml, generated from the models.

The meaning of a key is its description in the model; reference.yaml has an example of each part.
`python -m specs.docs.reference` prints the page.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

from specs.schema import json_schema

EXAMPLES_FILE: Final = Path(__file__).with_name("reference.yaml")
_INTRODUCTION: Final = """\
# The spec

Every key of `ml-pipeline.yaml`. This page is generated from the code (`make docs`), as is the JSON
Schema for completion in editors, `specs/ml-pipeline.schema.json`. Unknown keys, wrong types and
missing files are errors, which `headgate validate` reports all at once.

- A **duration** is written `30s`, `10m`, `2h`, `1d` or combined, as in `1h30m`.
- A **share** is a fraction: `5%` or `0.05`.
- A **size** is in bytes, or `512Mi`, `4Gi`, `2G`.
- A **glob** is a path in which `*` matches any text within a folder, and `**` any folders; `!`
  excludes.
- **NAME** is any name of letters, digits, `_` and `-`.
"""
_WORDS: Final = {
    "30s": "duration",
    "5%": "share",
    "512Mi": "size",
    "500m": "processors",
    "5xx": "status",
}
"""The types that have a notation of their own, each by an example that no other type has."""


class ReferenceKey(NamedTuple):
    """A key of a part."""

    name: str
    type: str
    default: str
    """As YAML; empty if there is none."""
    required: bool
    meaning: str


class ReferencePart(NamedTuple):
    """A mapping of the spec: its place, its meaning, and its keys."""

    path: tuple[str, ...]
    """`steps`, `NAME`; an item of a list is `[]`."""
    meaning: str
    keys: tuple[ReferenceKey, ...]

    @property
    def title(self) -> str:
        return _title(self.path)


def parts() -> tuple[ReferencePart, ...]:
    """All parts, outer ones first, in the order of the file. A part that occurs at several places
    is described at the first of the least nested; alternatives at one place are separate parts."""
    schema = json_schema()
    places = _places(schema)
    return (_part(schema, (), places), *_below(schema, (), places))


def _title(path: tuple[str, ...]) -> str:
    return ".".join(path).replace(".[]", "[]")


Places = Mapping[str, tuple[str, ...]]
"""The place where each part is described, by its reference."""


def _places(schema: Mapping[str, Any]) -> Places:
    found: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), schema)]
    for path, shape in waiting:  # grows, so that less nested parts come first
        for name, inner in shape["properties"].items():
            for below, reference in _inside(inner):
                if reference not in found:
                    found[reference] = (*path, name, *below)
                    waiting.append((found[reference], _shape(reference)))
    return found


def _shape(reference: str) -> Mapping[str, Any]:
    shape: Mapping[str, Any] = json_schema()["$defs"][reference.rpartition("/")[2]]
    return shape


def _below(
    shape: Mapping[str, Any], path: tuple[str, ...], places: Places
) -> Iterator[ReferencePart]:
    """The parts that are described below a part, in the order of its keys."""
    for name, inner in shape["properties"].items():
        for below, reference in _inside(inner):
            here = (*path, name, *below)
            if places[reference] == here:
                yield _part(_shape(reference), here, places)
                yield from _below(_shape(reference), here, places)


def _part(shape: Mapping[str, Any], path: tuple[str, ...], places: Places) -> ReferencePart:
    required = shape.get("required", ())
    keys = (
        ReferenceKey(
            name,
            _type(inner, places),
            _default(inner.get("default")),
            name in required,
            inner.get("description", ""),
        )
        for name, inner in shape["properties"].items()
    )
    return ReferencePart(path, shape.get("description", ""), tuple(keys))


def _inside(shape: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The parts that a value contains, each with its path below the value."""
    if "$ref" in shape:
        yield (), shape["$ref"]
    for each in (*shape.get("anyOf", ()), *shape.get("oneOf", ())):
        yield from _inside(each)
    for inner in _by_name(shape):
        yield from ((("NAME", *below), to) for below, to in _inside(inner))
    if isinstance(shape.get("items"), Mapping):
        yield from ((("[]", *below), to) for below, to in _inside(shape["items"]))


def _by_name(shape: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a mapping has below names that the spec chooses."""
    values = (*shape.get("patternProperties", {}).values(), shape.get("additionalProperties"))
    yield from (each for each in values if isinstance(each, Mapping))


def _type(shape: Mapping[str, Any], places: Places) -> str:
    """The type in words."""
    word = next((_WORDS[each] for each in shape.get("examples", ()) if each in _WORDS), None)
    if word is not None:
        return word
    if "steps.train.model" in shape.get("examples", ()):
        return "reference, such as " + " or ".join(f"`{each}`" for each in shape["examples"])
    if "const" in shape:
        return f"`{shape['const']}`"
    if "enum" in shape:
        return ", ".join(f"`{each}`" for each in shape["enum"])
    if "$ref" in shape:
        title = _title(places[shape["$ref"]])
        return f"[mapping](#{title.replace('.', '').replace('[]', '').lower()})"
    choices = (*shape.get("anyOf", ()), *shape.get("oneOf", ()))
    if choices:
        words = dict.fromkeys(_type(each, places) for each in choices if each.get("type") != "null")
        *others, last = words
        return f"{', '.join(others)} or {last}" if others else last
    if shape.get("type") == "array":
        return f"list of {_type(shape['items'], places)}"
    if shape.get("type") == "object":
        return f"NAME: {_type(next(_by_name(shape), {}), places)}"
    names = {"string": "text", "integer": "whole number", "number": "number"}
    return {**names, "boolean": "`true` or `false`"}.get(shape.get("type", ""), "any value")


def _default(value: Any) -> str:
    if value is None or isinstance(value, Mapping):
        return ""
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


@cache
def examples() -> dict[str, str]:
    """An example of each part, as YAML from the top level of the file, by the part's title."""
    return dict(YAML(typ="safe").load(EXAMPLES_FILE.read_text(encoding="utf-8")))


def render() -> str:
    """The page, as Markdown."""
    shown = dict.fromkeys(part.title for part in parts())
    sections = [_INTRODUCTION]
    for title in shown:
        alike = [part for part in parts() if part.title == title]
        sections.append(_section(title, alike))
    return "\n".join(sections)


def _section(title: str, alike: list[ReferencePart]) -> str:
    lines = [f"## {title or 'Top level'}", ""]
    for part in alike:
        lines += [part.meaning, "", "| key | type | default | meaning |", "|---|---|---|---|"]
        lines += map(_row, part.keys)
        lines.append("")
    if title in examples():
        lines += ["```yaml", examples()[title].rstrip(), "```", ""]
    return "\n".join(lines)


def _row(key: ReferenceKey) -> str:
    default = key.default or ("required" if key.required else "")
    cells = (f"`{key.name}`", key.type, default, key.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Print the page."""
    sys.stdout.write(render())


if __name__ == "__main__":
    main()
