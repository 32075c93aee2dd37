"""A manifest: what a data set holds, image by image, with a digest that names exactly that."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image."""

    sample_id: str
    """Unique in its manifest; the path inside the source, with forward slashes."""
    group: str
    """What must not be divided between splits: the source's pseudonym of a patient, or a slide."""
    present: tuple[str, ...]
    """Names of the findings that are present, sorted; empty for a normal image."""
    subtype: str
    """A finer class of the source, for stratification and subgroups only."""
    sha256: str
    """Of the image file, lower-case hex."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every sample of one source; not empty, without repeated ids or contradicting copies."""

    source: str
    """Name of the data set, e.g. `chest_xray_kermany`."""
    labels: tuple[str, ...]
    """Findings that were looked for in every image, in the order of a network's logits."""
    root: Path
    """Folder that the samples' ids are relative to; no part of the digest."""
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        if not self.samples:
            raise DataError(f"{self.source} has no samples; check the folder it was read from.")
        ids = {sample.sample_id for sample in self.samples}
        if len(ids) != len(self.samples):
            raise DataError(f"{self.source} lists an image twice; sample ids must be unique.")
        for sample in self.samples:
            unknown = set(sample.present) - set(self.labels)
            if unknown:
                raise DataError(
                    f"{self.source}: {sample.sample_id} has the findings {sorted(unknown)}, "
                    f"which are not among {list(self.labels)}."
                )
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        first: dict[str, Sample] = {}
        for sample in self.samples:
            other = first.setdefault(sample.sha256, sample)
            if other.present != sample.present:
                raise DataError(
                    f"{self.source}: {other.sample_id} and {sample.sample_id} are the same file "
                    "with different labels; correct the index before training on it."
                )

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def path_of(self, sample: Sample) -> Path:
        """Return where the image of `sample` lies."""
        return self.root / sample.sample_id

    @property
    def digest(self) -> str:
        """`sha256:` and the digest of all samples, whatever their order or folder."""
        lines = sorted(
            json.dumps([s.sample_id, s.group, list(s.present), s.subtype, s.sha256])
            for s in self.samples
        )
        head = json.dumps([self.source, list(self.labels)])
        text = "\n".join([head, *lines])
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def targets(self) -> NDArray[np.int8]:
        """Return which findings are present, shape (samples, labels), 0 or 1."""
        rows = [[label in sample.present for label in self.labels] for sample in self.samples]
        return np.array(rows, dtype=np.int8)

    def groups(self) -> NDArray[np.str_]:
        """Return the group of each sample, shape (samples,)."""
        return np.array([sample.group for sample in self.samples])

    def subtypes(self) -> NDArray[np.str_]:
        """Return the subtype of each sample, shape (samples,)."""
        return np.array([sample.subtype for sample in self.samples])

    def subset(self, indices: NDArray[np.intp]) -> "Manifest":
        """Return the manifest of the samples at `indices`, in that order."""
        samples = tuple(self.samples[int(index)] for index in indices)
        return Manifest(self.source, self.labels, self.root, samples)
