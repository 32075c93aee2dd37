"""One thing that `zhuzhen doctor` looked at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from models.findings import Text


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well kept as patients' data should be."""
    ERROR = "error"
    """Something promised does not hold."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    message: Text
    """What was found, and what to do."""


Look = Callable[[Path, Mapping[str, str]], Iterator[Check]]
"""Looks at an installation by its folder and its environment."""
