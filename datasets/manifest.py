"""A manifest: what a data set holds, sample by sample, with a digest that names exactly that."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError

Value = float | str | None
"""A fact or a feature: a number, a category, or not known."""
PARTS = ("training", "validation", "test")
SEXES = ("F", "M", "O")
"""Female, male, other: the codes of DICOM Patient's Sex (0010,0040), PS3.3 C.2.2.2."""

REVIEWED = "review/"
"""What the ids of samples begin with that came with reviews; the id of the review follows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, or one labelled row of a table."""

    sample_id: str
    """Unique in its manifest; of images, the path inside the source, with forward slashes."""
    group: str
    """What must not be divided between splits: a pseudonym of a patient, a slide, a capture."""
    present: tuple[str, ...]
    """Names of the findings that are present, sorted; empty for a normal image."""
    subtype: str
    """A finer class of the source, for stratification and subgroups only."""
    sha256: str
    """Of the image file, or of the row's features; lower-case hex."""
    path: str = ""
    """Where the image lies: below the manifest's root, or a URI; empty where the id says it."""
    site: str = ""
    """Where it was acquired, as the source names it; empty where it does not."""
    age_years: float | None = None
    sex: str = ""
    """One of `SEXES`, or empty where it is not known."""
    followup_years: float | None = None
    """Of tables with survival: years to the event where it is present, else to the last contact."""
    part: str = ""
    """The part of a split that the source itself assigns (`training`, `validation`, `test`)."""
    facts: tuple[Value, ...] = ()
    """Acquisition facts in the order of the manifest's `facts`."""
    features: tuple[Value, ...] = ()
    """Of tables: the inputs in the order of the manifest's `features`."""

    def __post_init__(self) -> None:
        if not self.sample_id or not self.group:
            raise DataError(
                f"Sample {self.sample_id or 'without an id'} has no id or no group; every sample "
                "needs both, or a split cannot keep a patient together."
            )
        if self.part and self.part not in PARTS:
            raise DataError(f"{self.sample_id}: part {self.part!r}; expected one of {PARTS}.")
        if self.sex and self.sex not in SEXES:
            raise DataError(f"{self.sample_id}: sex {self.sex!r}; expected one of {SEXES}.")


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a table, with the values it may have."""

    name: str
    """With its unit, such as `sbp_mmhg`."""
    unit: str = ""
    """UCUM code; empty for categories and counts."""
    categories: tuple[str, ...] = ()
    """Values of a category; empty for a number."""
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = False
    """Whether it may be missing."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every sample of one source; not empty, without repeated ids or contradicting copies."""

    source: str
    """Name of the data set, e.g. `chest_xray_kermany`."""
    labels: tuple[str, ...]
    """Findings that were looked for in every image, in the order of a network's logits."""
    root: Path
    """Folder that the samples' paths are relative to; no part of the digest."""
    samples: tuple[Sample, ...]
    version: str = "1.0.0"
    """Of the data set; the digest says what is in it."""
    exclusive: bool = False
    """Whether exactly one of the labels is present in each sample (classes, not findings)."""
    facts: tuple[str, ...] = ()
    """Names of the acquisition facts, with units."""
    features: tuple[Feature, ...] = ()
    """The inputs of a table; empty for images."""

    def __post_init__(self) -> None:
        if not self.samples:
            raise DataError(f"{self.source} has no samples; check the folder it was read from.")
        ids = set[str]()
        for sample in self.samples:
            if sample.sample_id in ids:
                raise DataError(
                    f"{self.source} lists {sample.sample_id} twice; sample ids must be unique: "
                    "drop one of the rows, or correct its id."
                )
            ids.add(sample.sample_id)
            self._check(sample)
        if not self.features:
            self._refuse_contradictions()

    def _check(self, sample: Sample) -> None:
        unknown = set(sample.present) - set(self.labels)
        if unknown:
            raise DataError(
                f"{self.source}: {sample.sample_id} has the findings {sorted(unknown)}, "
                f"which are not among {list(self.labels)}."
            )
        if self.exclusive and len(sample.present) != 1:
            raise DataError(
                f"{self.source}: {sample.sample_id} has the classes {list(sample.present)}; "
                "expected exactly one."
            )
        lengths = (len(sample.facts), len(sample.features))
        if lengths != (len(self.facts), len(self.features)):
            raise DataError(
                f"{self.source}: {sample.sample_id} has {lengths[0]} facts and {lengths[1]} "
                f"features; expected {len(self.facts)} and {len(self.features)}."
            )

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

    @property
    def is_table(self) -> bool:
        """Whether the samples are rows with features, not images."""
        return bool(self.features)

    def path_of(self, sample: Sample) -> Path:
        """Return where the image of `sample` lies.

        Raises:
            DataError: it is a row of a table, or lies at a URI.
        """
        if self.is_table or "://" in sample.path:
            raise DataError(
                f"{self.source}: {sample.sample_id} is no file here: a row of a table, or "
                "an image that has to be brought in first."
            )
        return self.root / (sample.path or sample.sample_id)

    @property
    def digest(self) -> str:
        """`sha256:` and the digest of all samples, whatever their order or folder."""
        lines = sorted(_line(sample) for sample in self.samples)
        head: list[Any] = [self.source, list(self.labels)]
        more = {
            "exclusive": self.exclusive,
            "facts": list(self.facts),
            "features": [feature.name for feature in self.features],
        }
        # What a manifest does not have is left out, so that its digest stays what it always was.
        if any(more.values()):
            head.append({name: value for name, value in more.items() if value})
        text = "\n".join([json.dumps(head), *lines])
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

    def sites(self) -> NDArray[np.str_]:
        """Return the site of each sample, shape (samples,); empty where it is not known."""
        return np.array([sample.site for sample in self.samples])

    def sexes(self) -> NDArray[np.str_]:
        """Return the sex of each sample, shape (samples,); empty where it is not known."""
        return np.array([sample.sex for sample in self.samples])

    def ages_years(self) -> NDArray[np.float64]:
        """Return the age of each sample in years, shape (samples,); NaN where it is not known."""
        return np.array([_number(sample.age_years) for sample in self.samples])

    def followups_years(self) -> NDArray[np.float64]:
        """Return the follow-up of each sample in years, shape (samples,); NaN without survival."""
        return np.array([_number(sample.followup_years) for sample in self.samples])

    def fact(self, name: str) -> list[Value]:
        """Return the fact `name` of each sample."""
        at = self.facts.index(name)
        return [sample.facts[at] for sample in self.samples]

    def feature_table(self) -> Any:
        """Return the features as a pandas DataFrame, one column each, in the manifest's order.

        Numbers are float64 with NaN where a value is missing; categories are strings or None.
        """
        import pandas as pd

        columns = {}
        for at, feature in enumerate(self.features):
            values = [sample.features[at] for sample in self.samples]
            kind = object if feature.categories else np.float64
            columns[feature.name] = pd.Series(values, dtype=kind)
        return pd.DataFrame(columns)

    def subset(self, indices: NDArray[np.intp]) -> "Manifest":
        """Return the manifest of the samples at `indices`, in that order."""
        return replace(self, samples=tuple(self.samples[int(index)] for index in indices))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _line(sample: Sample) -> str:
    fields: list[Any] = [
        sample.sample_id,
        sample.group,
        list(sample.present),
        sample.subtype,
        sample.sha256,
    ]
    more = {
        name: getattr(sample, name)
        for name in (
            "site",
            "age_years",
            "sex",
            "followup_years",
            "part",
            "facts",
            "features",
        )
    }
    known = {name: value for name, value in more.items() if value not in ("", None, ())}
    return json.dumps([*fields, known] if known else fields)
