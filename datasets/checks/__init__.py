"""What may be wrong with a data set, found before anything is trained on it."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.manifest import Sample
from models.findings import Text


class Severity(StrEnum):
    """How bad a problem is."""

    ERROR = "error"
    """Nothing can be trained on these data until it is mended."""
    WARNING = "warning"
    """A model may come out that measures better than it is."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was found, with the samples that show it."""

    kind: str
    """Machine name, such as `near_duplicates`."""
    severity: Severity
    told: Text
    """What was found and what to do."""
    count: int
    """How many rows, files, pairs or groups it concerns."""
    examples: tuple[str, ...] = ()
    """Rows or files, the first few."""
    pictures: tuple[tuple[int, ...], ...] = ()
    """Positions of samples that are shown side by side."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a data set: its samples, and of images what was measured on them."""

    name: str
    root: Path
    samples: tuple[Sample, ...]
    thumbnails: NDArray[np.uint8] | None
    """Shape (samples, side, side, 3); None for a table."""
    hashes: NDArray[np.bool_] | None
    readable: NDArray[np.bool_]
    """Whether each sample's image could be decoded, shape (samples,)."""
    facts: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Acquisition facts by name, each of shape (samples,); NaN where one is not known."""


@dataclass(frozen=True, slots=True)
class Check:
    """Everything that a check found."""

    seen: Seen
    problems: tuple[Problem, ...]
    digest: str | None
    """Of the manifest, where one could be made."""
    shortcuts: dict[str, Any]
    """How well acquisition facts alone tell the classes apart; see `datasets.checks.shortcuts`."""

    @property
    def passed(self) -> bool:
        """Whether nothing keeps these data from being trained on."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)
