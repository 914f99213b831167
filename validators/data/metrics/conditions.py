"""`row_condition`: its meaning, the columns that it names, and the rows that meet it.

Comparisons of a column with values, joined by `and`, `or` and `not`, are read here in every form
that Great Expectations 1.x accepts, so that values are read as the column's type. Other pandas
queries are left to pandas.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from specs.figures import clip
from validators.data.metrics.batch import RowBatch
from validators.data.values.comparing import compare
from validators.data.values.frame import frame_of
from validators.data.values.literals import Position, Unfit, at_least, at_most, members, position


@dataclass(frozen=True)
class Compare:
    """A column compared with a value or, if `other` is set, with another column."""

    column: str
    sign: str
    value: object = None
    other: str | None = None


@dataclass(frozen=True)
class In:
    """A column has one of these values."""

    column: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Null:
    """A column is null."""

    column: str


@dataclass(frozen=True)
class Not:
    """The rows that do not meet `part`."""

    part: "Condition"


@dataclass(frozen=True)
class Both:
    """The rows that meet `left` and `right`, or one of them if `either`."""

    left: "Condition"
    right: "Condition"
    either: bool


@dataclass(frozen=True)
class PandasQuery:
    """Any other condition, as a pandas query."""

    text: str
    columns: tuple[str, ...]


Condition = Compare | In | Null | Not | Both | PandasQuery

_SIGNS: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_TURNED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NAMED: Final = {
    "==": "equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|[&|]""")
_OWN: Final = re.compile(
    r"""\s*col\("(?P<column>[^"]+)"\)\s*(?:
        (?P<notnull>(?i:\.notnull\(\)))
        | (?P<sign>[<>]=?|[=!]=)\s*(?:
            (?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
            | (?:date\(\s*)?(?P<quote>["'])(?P<text>.*?)(?P=quote)\s*\)?
        ))\s*""",
    re.VERBOSE,
)


def condition_of(kwargs: Mapping[str, Any]) -> Condition | None:
    """The row condition in the kwargs of an expectation; None if there is none."""
    said = kwargs.get("row_condition")
    if not said:
        return None
    if isinstance(said, dict):
        return _of_object(said)
    if not isinstance(said, str):
        raise Unfit("`row_condition` must be text or a mapping with a `type`")
    if str(kwargs.get("condition_parser") or "").startswith("great_expectations"):
        return _of_own(said)
    return _of_pandas(said)


def columns_of(condition: Condition | None) -> tuple[str, ...]:
    """The columns that a condition names."""
    match condition:
        case None:
            return ()
        case Compare(column=column, other=other):
            return (column, other) if other else (column,)
        case In(column=column) | Null(column=column):
            return (column,)
        case Not(part=part):
            return columns_of(part)
        case Both(left=left, right=right):
            return tuple(dict.fromkeys((*columns_of(left), *columns_of(right))))
        case PandasQuery(columns=columns):
            return columns


# -- reading ---------------------------------------------------------------------------------------


def _of_object(said: Mapping[str, Any]) -> Condition:
    """A condition object as Great Expectations serialises it."""
    try:
        match said["type"]:
            case "comparison":
                return _comparison(_name_in(said), str(said["operator"]), said["parameter"])
            case "nullity":
                null = Null(_name_in(said))
                return null if said["is_null"] else Not(null)
            case "and" | "or":
                either = said["type"] == "or"
                parts = [_of_object(part) for part in said["conditions"]]
                return reduce(lambda left, right: Both(left, right, either), parts)
            case "pass_through":
                return _of_pandas(said["pass_through_filter"])
    except (KeyError, TypeError):
        pass
    raise Unfit("`row_condition` is not a condition of Great Expectations")


def _name_in(said: Mapping[str, Any]) -> str:
    name = said["column"]["name"]
    if not isinstance(name, str):
        raise TypeError
    return name


def _comparison(column: str, sign: str, value: Any) -> Condition:
    if sign in ("IN", "NOT_IN"):
        if not isinstance(value, list):
            raise TypeError
        several = In(column, tuple(value))
        return several if sign == "IN" else Not(several)
    if sign not in _TURNED or isinstance(value, list | dict):
        raise KeyError(sign)
    return Compare(column, sign, value)


def _of_own(text: str) -> Condition:
    """The language of `condition_parser: great_expectations`."""
    found = _OWN.fullmatch(text)
    if found is None:
        raise Unfit(
            f'`row_condition` cannot be read: {clip(text, 60)}; write it as col("NAME") > 5'
        )
    if found["notnull"]:
        return Not(Null(found["column"]))
    value = found["text"] if found["number"] is None else found["number"]
    return Compare(found["column"], found["sign"], value)


def _of_pandas(text: str) -> Condition:
    """The language of pandas' `query`, in which & and | bind as `and` and `or`."""
    names: dict[str, str] = {}

    def plain(match: re.Match[str]) -> str:
        found = match[0]
        if found.startswith("`"):
            name = f"_column_{len(names)}_"
            names[name] = found[1:-1]
            return name
        return {"&": " and ", "|": " or "}.get(found, found)

    try:
        tree = ast.parse(_QUOTED.sub(plain, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None or "@" in _QUOTED.sub("", text):
        raise Unfit(f"`row_condition` cannot be read: {clip(text, 60)}")
    try:
        return _of_node(tree, names)
    except _BeyondUsError:
        return PandasQuery(text, _names(tree, names))


class _BeyondUsError(Exception):
    """Not a condition that is read here; pandas may be able to."""


def _names(tree: ast.AST, names: Mapping[str, str]) -> tuple[str, ...]:
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [
        names.get(node.id, node.id)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node not in called
    ]
    return tuple(dict.fromkeys(found))


def _of_node(node: ast.expr, names: Mapping[str, str]) -> Condition:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_of_node(value, names) for value in values]
            either = isinstance(op, ast.Or)
            return reduce(lambda left, right: Both(left, right, either), parts)
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return Not(_of_node(operand, names))
        case ast.Name(id=name):
            return Compare(names.get(name, name), "==", value=True)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=called), args=[]):
            null = Null(names.get(name, name))
            if called in ("isnull", "isna"):
                return null
            if called in ("notnull", "notna"):
                return Not(null)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="isin"), args=[listed]):
            among = _literal(listed)
            if isinstance(among, list | tuple):
                return In(names.get(name, name), tuple(among))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            sides = [left, *rights]
            parts = [
                _of_pair(one, op, other, names)
                for one, op, other in zip(sides, ops, rights, strict=False)
            ]
            return reduce(lambda one, other: Both(one, other, either=False), parts)
    raise _BeyondUsError


def _of_pair(left: ast.expr, op: ast.cmpop, right: ast.expr, names: Mapping[str, str]) -> Condition:
    sign = _SIGNS.get(type(op))
    if isinstance(left, ast.Name):
        column = names.get(left.id, left.id)
        if isinstance(right, ast.Name):
            if sign is None:
                raise _BeyondUsError
            return Compare(column, sign, other=names.get(right.id, right.id))
        value = _literal(right)
        if isinstance(value, list | tuple):
            several = In(column, tuple(value))
            if isinstance(op, ast.In | ast.Eq):
                return several
            if isinstance(op, ast.NotIn | ast.NotEq):
                return Not(several)
        elif sign:
            return Compare(column, sign, value)
    elif isinstance(right, ast.Name) and sign:
        value = _literal(left)
        if not isinstance(value, list | tuple):
            return Compare(names.get(right.id, right.id), _TURNED[sign], value)
    raise _BeyondUsError


def _literal(node: ast.expr) -> object:
    try:
        value: object = ast.literal_eval(node)
    except ValueError:
        raise _BeyondUsError from None
    listed = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int | float) for one in listed):
        raise _BeyondUsError
    return value


# -- the rows that meet it -------------------------------------------------------------------------


def mask_of(condition: Condition, rows: RowBatch) -> Any:
    """Mask of the rows that meet it. Null equals nothing and differs from everything."""
    import pyarrow.compute as pc

    match condition:
        case Both(left=left, right=right, either=either):
            join = pc.or_ if either else pc.and_
            return join(mask_of(left, rows), mask_of(right, rows))
        case Not(part=part):
            return pc.invert(mask_of(part, rows))
        case Null(column=name):
            return pc.is_null(rows.column(name))
        case In(column=name, values=values):
            column = rows.column(name)
            return pc.is_in(column, value_set=_read(name, members, list(values), column.type))
        case Compare():
            return _compared(condition, rows)
        case PandasQuery(text=text, columns=columns):
            return _queried(text, rows.settled(columns))


def _queried(text: str, table: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    met = np.zeros(table.num_rows, dtype=bool)
    met[frame_of(table, numbers=True).query(text).index.to_numpy()] = True
    return pa.array(met)


def _compared(condition: Compare, rows: RowBatch) -> Any:
    import pyarrow.compute as pc

    column, sign = rows.column(condition.column), condition.sign
    if sign == "!=":
        same = Compare(condition.column, "==", condition.value, condition.other)
        return pc.invert(_compared(same, rows))
    if condition.other is not None:
        return compare(column, rows.column(condition.other), _NAMED[sign])
    if sign == "==":
        one = _read(condition.column, members, [condition.value], column.type)
        return pc.is_in(column, value_set=one)
    at: Position = _read(condition.column, position, condition.value, column.type)
    beyond = at_least if sign.startswith(">") else at_most
    return pc.fill_null(beyond(column, at, strict="=" not in sign), fill_value=False)


def _read(name: str, reader: Any, value: object, kind: Any) -> Any:
    try:
        return reader(value, kind)
    except Unfit as error:
        raise Unfit(f"its condition on `{name}`: {error}") from None
