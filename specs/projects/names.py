"""PURE. Normalised names of packages, groups and extras."""


def canonical(name: str) -> str:
    """The normalised name: `scikit-learn` for `Scikit_Learn`."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
