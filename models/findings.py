"""The domain objects of a pre-read. Frozen, complete, and free of any wire format.

JSON, DICOM and FHIR forms are mapped from these in modules of their own.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from models.radiograph import RadiographFacts
from models.text import Text as Text


class Verdict(StrEnum):
    """What the gate decided before any finding is shown."""

    ACCEPTED = "accepted"
    """The model may be used on this input."""
    OUTSIDE_INTENDED_USE = "outside_intended_use"
    """A stated rule of the intended use (age, body part, view, modality...) is broken."""
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    """The pixels do not look like anything the model was made for."""
    UNREADABLE = "unreadable"
    """No pixels could be had from the bytes."""


class Decision(StrEnum):
    """What a finding says at its operating point."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    """The model abstains: the conformal set holds both answers, or neither."""


@dataclass(frozen=True, slots=True)
class Code:
    """One concept in one coding system."""

    system: str
    """Canonical URI of the system, e.g. `http://snomed.info/sct`."""
    value: str
    display: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the gate decided as it did, or what it could not check."""

    rule: str
    """Machine name of the rule, e.g. `age_years`, `embedding_distance`, `file_format`."""
    found: str | None
    expected: str | None
    message: Text


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the stored image that speaks for the finding."""

    column: int
    """Left edge, 0-based pixels of the stored image."""
    row: int
    """Top edge, 0-based pixels of the stored image."""
    width: int
    height: int
    score: float
    """Mean heat of the region: 0 what half the image exceeds, 1 the image's strongest place."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A coded statement about an image with a calibrated probability."""

    label: str
    name: Text
    codes: tuple[Code, ...]
    probability: float
    """Calibrated, 0 to 1."""
    operating_point: float
    """Probability from which the finding counts as present."""
    decision: Decision
    conformal_set: tuple[str, ...]
    """Answers (`present`, `absent`) that cannot be excluded at `conformal_coverage`."""
    conformal_coverage: float
    """Stated coverage of the conformal set, 0 to 1."""
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """Facts about the input's quality, with what about it should make a reader careful."""

    rows: int
    columns: int
    dynamic_range: float
    """99th minus 1st percentile of grey values, 0 to 1."""
    clipped_fraction: float
    """Share of pixels at pure black or pure white, 0 to 1."""
    sharpness: float
    """Mean absolute difference between neighbours on the network's grid, in grey levels."""
    remarks: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Which released model spoke."""

    name: str
    version: str
    digest: str
    """`sha256:` and the digest of the package's SHA256SUMS."""


@dataclass(frozen=True, slots=True)
class PreRead:
    """All findings of one model package on one image, with the gate's verdict and provenance."""

    model: ModelReference
    verdict: Verdict
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    facts: RadiographFacts | None
    quality: ImageQuality | None
    ood_score: float | None
    """Distance from what the model was trained on, 1.0 at the refusal threshold."""
    timings_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.findings and self.verdict is not Verdict.ACCEPTED:
            raise ValueError(
                f"A pre-read with verdict {self.verdict} must not carry findings: "
                "a finding of an input that was not accepted is never shown as a result."
            )
