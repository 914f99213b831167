"""PURE. Names of packages, groups and extras as packaging compares them."""


def canonical(name: str) -> str:
    """The name as all its spellings have it: `Scikit_Learn` is `scikit-learn`."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
