"""Fields of a configuration that its digest must not always hold."""

from dataclasses import field
from typing import Any, TypeVar

T = TypeVar("T")


def later(default: T) -> T:
    """Return a field with `default` that is left out of the configuration's digest where unused.

    A released package names the digest of its configuration; a setting that did not exist then and
    is not made use of must not change it.
    """
    made: Any = field(default=default, metadata={"later": True})
    kept: T = made
    return kept


def apart(default: T, *, key: bool = True) -> T:
    """Return a field with `default` that is never part of the configuration's digest or records.

    It decides nothing of a package: where a file lies on this machine, what a search tries. Without
    `key` it cannot be set by a YAML file either.
    """
    made: Any = field(default=default, metadata={"apart": True, "key": key})
    kept: T = made
    return kept
