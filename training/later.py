"""Fields of a configuration that came after the first release."""

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
