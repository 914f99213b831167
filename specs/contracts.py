"""How a spec names a data contract: a file and, after `#`, one of the objects of its schema."""

import re
from typing import Final

_PART: Final = re.compile(r"(.+\.(?:yaml|yml|json))#([^#/]+)")
_OF_CONTRACTS: Final = ".odcs."


def file_of(expectations: str) -> str:
    """The path of the file: `orders.odcs.yaml` of `orders.odcs.yaml#orders`."""
    found = _PART.fullmatch(expectations)
    return found[1] if found else expectations


def object_of(expectations: str) -> str | None:
    """The object of the contract's schema: `orders` of `orders.odcs.yaml#orders`."""
    found = _PART.fullmatch(expectations)
    return found[2] if found else None


def is_named_as_contract(file: str) -> bool:
    """Whether the file's name says that it is a data contract, as `orders.odcs.yaml` does. Of such
    a contract the object is chosen that is named like the dataset."""
    return _OF_CONTRACTS in file.rpartition("/")[2]


def choice_of(expectations: str, dataset: str) -> str | None:
    """What a file judges by besides its content: the object that is named, or the dataset that
    chooses it; None if it has only one meaning."""
    named = object_of(expectations)
    if named is not None:
        return f"#{named}"
    return dataset if is_named_as_contract(file_of(expectations)) else None
