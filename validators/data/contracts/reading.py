"""PURE. Reads what a dataset has to meet: a suite of Great Expectations, or a data contract.

A contract is a file of the Open Data Contract Standard, version 3 (bitol.io). It is recognised by
its `kind: DataContract`; its schema and quality rules become expectations, and what it asks besides
is named.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from specs.contracts import is_named_as_contract
from specs.figures import clip
from specs.loading.problems import Problem
from specs.loading.tree import MOST_BYTES, parse
from validators.data.contracts.draft import ContractDraft
from validators.data.contracts.properties import column_of, of_property
from validators.data.contracts.quality import quality_rules
from validators.data.suites.suite import Suite, read_suite

KIND: Final = "DataContract"
_OF_OBJECTS: Final = (
    "name", "id", "logicalType", "physicalType", "physicalName", "properties", "quality",
    "businessName", "description", "dataGranularityDescription", "tags", "customProperties",
    "authoritativeDefinitions", "relationships",
)  # fmt: skip


def read_expectations(
    text: str,
    file: str,
    params: Mapping[str, Any] = {},
    *,
    like: str = "",
    part: str | None = None,
) -> Suite:
    """All expectations and all problems of the text; never raises, whatever the text.

    `params` are those of the spec. `part` is the schema object of a contract that is meant; by
    default the only one or, if the file is named as a contract, the one named as `like`.
    """
    content = _contract_in(text, file)
    if content is None:
        found = read_suite(text, file, params)
        if part is None or found.problems:
            return found
        why = f"`#{clip(part, 40)}` names an object of a data contract, but this is a suite"
        return Suite((), (Problem("error", "contract", why, file),))
    draft = ContractDraft(parse(text), file, params)
    _read(draft, content, like, part)
    return draft.suite()


def expectation_problems(
    text: str,
    file: str,
    params: Mapping[str, Any] = {},
    *,
    like: str = "",
    part: str | None = None,
) -> tuple[Problem, ...]:
    """The problems of a suite or contract, and what is not checked, for `headgate validate`."""
    found = read_expectations(text, file, params, like=like, part=part)
    return (*found.problems, *found.unchecked)


def _contract_in(text: str, file: str) -> dict[str, Any] | None:
    """The contract that the text is; None if it is none, or cannot be read at all."""
    if len(text) > MOST_BYTES or KIND not in text:
        return None
    if file.endswith(".json"):
        try:
            content = json.loads(text, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return None
    else:
        tree = parse(text)
        content = tree.root.plain if tree.root is not None and not tree.faults else None
    is_one = isinstance(content, dict) and content.get("kind") == KIND
    return content if is_one else None


def _read(
    draft: ContractDraft, contract: Mapping[str, Any], dataset: str, part: str | None
) -> None:
    version = str(contract.get("apiVersion"))
    if not version.removeprefix("v").startswith("3."):
        draft.wrong("unknown version of data contracts", ("apiVersion",), version, "v3.1.0")
        return
    objects = contract.get("schema")
    if not isinstance(objects, list) or not objects:
        draft.wrong("the contract has no `schema`: there is nothing to check", ("schema",), objects)
        return
    at = _chosen(draft, objects, dataset, part)
    if at is None:
        return
    _object(draft, objects[at], at)
    for place, one in enumerate(contract.get("slaProperties") or ()):
        if isinstance(one, dict):
            what = " ".join(str(one.get(key, "")) for key in ("property", "value", "unit"))
            draft.skip(f"the service level {what.strip()}", ("slaProperties", place))
    if not draft.expectations and not draft.problems:
        message = "nothing in it can be checked: a gate that checks nothing cannot pass"
        draft.wrong(message, ("schema", at))


def _chosen(
    draft: ContractDraft, objects: Sequence[Any], dataset: str, part: str | None
) -> int | None:
    """The place of the object that is meant; None, and a problem, if that is not clear."""
    names = [_names(one) for one in objects]
    every = ", ".join(clip(each[0], 40) for each in names if each)
    if part is not None:
        at = next((at for at, each in enumerate(names) if part in each), None)
        if at is None:
            draft.wrong(f"the contract has no object `{clip(part, 40)}`", ("schema",), None, every)
        return at
    if len(objects) == 1:
        return 0
    chooses = is_named_as_contract(draft.file)
    at = next((at for at, each in enumerate(names) if chooses and dataset in each), None)
    if at is None:
        why = "none is named like the dataset" if chooses else "its file is not named .odcs.yaml"
        message = f"the contract has several objects, and {why}: name one, as in `expectations: "
        message += f"{draft.file.rpartition('/')[2]}#{names[0][0] if names[0] else 'OBJECT'}`"
        draft.wrong(message, ("schema",), None, every)
    return at


def _names(one: Any) -> list[str]:
    """The names by which an object may be called, the best first."""
    if not isinstance(one, dict):
        return []
    return [str(one[key]) for key in ("name", "physicalName", "id") if one.get(key) is not None]


def _object(draft: ContractDraft, one: Any, at: int) -> None:
    path = ("schema", at)
    if not isinstance(one, dict):
        draft.wrong("an object of the schema is a mapping", path, one)
        return
    draft.skip_unknown(one, _OF_OBJECTS, path)
    properties = one.get("properties") or []
    if not isinstance(properties, list):
        draft.wrong("`properties` is a list", (*path, "properties"), properties)
        properties = []
    named: list[dict[str, Any]] = []
    for place, each in enumerate(properties):
        where = (*path, "properties", place)
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            draft.wrong("a property is a mapping with a `name`", where, each)
            continue
        named.append(each)
        draft.columns[each["name"]] = column_of(each)
        of_property(draft, each, where)
    _primary_key(draft, named, at)
    if one.get("relationships"):
        draft.skip("the relationships of the object", (*path, "relationships"))
    quality_rules(draft, one.get("quality"), (*path, "quality"), None)


def _primary_key(draft: ContractDraft, properties: Sequence[Mapping[str, Any]], at: int) -> None:
    """The columns of the primary key, in the order of their positions, tell rows apart."""
    keys = [one for one in properties if one.get("primaryKey") is True]
    positions = [one.get("primaryKeyPosition") for one in keys]
    if all(isinstance(one, int) for one in positions):
        keys.sort(key=lambda one: int(one["primaryKeyPosition"]))
    columns = [column_of(one) for one in keys]
    path = ("schema", at, "properties")
    if len(columns) == 1:
        draft.expect("column_values_to_be_unique", {"column": columns[0]}, path)
    elif columns:
        draft.expect("compound_columns_to_be_unique", {"column_list": columns}, path)
