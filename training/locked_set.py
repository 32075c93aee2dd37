"""What a package says of each sample of its locked set, kept beside it for paired comparisons.

The locked set is the test part: nothing was fitted, chosen or stopped on it. Kept are digests of
samples and groups, truth, probabilities and what subgroups are made of; no name, path or key.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.manifest import Manifest
from models.errors import DataError

if TYPE_CHECKING:
    from training.evaluation import Evaluated  # it needs torch, which a comparison does not

FILE = "locked-set.parquet"
_KEY = b"zhuzhen"
_DECADES = (0, 1, 2, 6, 12, 18, 30, 40, 50, 60, 70, 80, 200)


@dataclass(frozen=True, slots=True)
class LockedSet:
    """Truth and probabilities of all labels on the locked set."""

    labels: tuple[str, ...]
    operating_points: tuple[float, ...]
    split_digest: str
    samples: NDArray[np.str_]
    """Digest of each sample, shape (n,)."""
    groups: NDArray[np.str_]
    """Digest of each sample's group, shape (n,)."""
    truth: NDArray[np.bool_]
    """Shape (n, labels)."""
    probability: NDArray[np.float64]
    """Calibrated, shape (n, labels)."""
    weights: NDArray[np.float64]
    """Shape (n,); 1, or those that make up for censoring."""
    subgroups: dict[str, NDArray[np.str_]]
    """By attribute (`subtype`, `site`, `sex`, `age`), its value for each sample, or empty."""

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: NDArray[np.intp]) -> "LockedSet":
        """Return the samples at `indices`."""
        return LockedSet(
            self.labels,
            self.operating_points,
            self.split_digest,
            self.samples[indices],
            self.groups[indices],
            self.truth[indices],
            self.probability[indices],
            self.weights[indices],
            {name: values[indices] for name, values in self.subgroups.items()},
        )


def locked_set(
    manifest: Manifest,
    truth: NDArray[np.bool_],
    probability: NDArray[np.float64],
    operating_points: tuple[float, ...],
    split_digest: str,
    weights: NDArray[np.float64] | None = None,
) -> LockedSet:
    """Return the locked set of the samples of `manifest`, which is the test part alone.

    Args:
        manifest: the test part.
        truth: shape (samples, labels).
        probability: calibrated, shape (samples, labels).
        operating_points: of each label.
        split_digest: of the split that the part comes from.
        weights: shape (samples,); 1 by default.
    """
    return LockedSet(
        labels=manifest.labels,
        operating_points=operating_points,
        split_digest=split_digest,
        samples=np.array([_digest(f"{s.sha256} {s.sample_id}") for s in manifest]),
        groups=np.array([_digest(f"{manifest.source} {s.group}") for s in manifest]),
        truth=truth.astype(np.bool_),
        probability=probability,
        weights=np.ones(len(manifest)) if weights is None else weights,
        subgroups={
            "subtype": manifest.subtypes(),
            "site": manifest.sites(),
            "sex": manifest.sexes(),
            "age": np.array([_age_band(age) for age in manifest.ages_years()]),
        },
    )


def locked_set_of(test: "Evaluated", split_digest: str) -> LockedSet:
    """Return the locked set of the evaluated part `test` of the split with that digest."""
    return locked_set(
        test.manifest,
        truth=test.truth,
        probability=test.probability,
        operating_points=tuple(label.operating_point for label in test.calibration.labels),
        split_digest=split_digest,
        weights=test.weights,
    )


def write_locked_set(kept: LockedSet, folder: Path) -> Path:
    """Write `kept` into `folder` and return the file."""
    columns = {"sample": kept.samples, "group": kept.groups, "weight": kept.weights}
    for at, label in enumerate(kept.labels):
        columns[f"truth.{label}"] = kept.truth[:, at]
        columns[f"probability.{label}"] = kept.probability[:, at]
    for name, values in kept.subgroups.items():
        columns[f"subgroup.{name}"] = values
    head = {
        "labels": kept.labels,
        "operating_points": kept.operating_points,
        "split_digest": kept.split_digest,
        "subgroups": list(kept.subgroups),
    }
    table = pa.table({name: pa.array(values.tolist()) for name, values in columns.items()})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(head)}), path)
    return path


def read_locked_set(path: Path) -> LockedSet:
    """Read what `write_locked_set` wrote.

    Raises:
        DataError: it is not such a file.
    """
    try:
        table = pq.read_table(path)
        head = json.loads((table.schema.metadata or {})[_KEY])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path.name} is no locked set; train the version again.") from error
    columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    labels = tuple(head["labels"])
    return LockedSet(
        labels=labels,
        operating_points=tuple(head["operating_points"]),
        split_digest=head["split_digest"],
        samples=columns["sample"],
        groups=columns["group"],
        truth=np.stack([columns[f"truth.{label}"] for label in labels], axis=1).astype(np.bool_),
        probability=np.stack([columns[f"probability.{label}"] for label in labels], axis=1),
        weights=columns["weight"].astype(np.float64),
        subgroups={name: columns[f"subgroup.{name}"] for name in head["subgroups"]},
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _age_band(age_years: float) -> str:
    if not np.isfinite(age_years):
        return ""
    at = int(np.searchsorted(_DECADES, age_years, side="right"))
    low, high = _DECADES[at - 1], _DECADES[min(at, len(_DECADES) - 1)]
    return f"{low}-{high} years"
