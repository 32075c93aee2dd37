"""What is known of one radiograph once its bytes are read: its facts and its pixels.

Nothing in here knows the wire format; `serving.imaging` builds these objects from DICOM, PNG
and JPEG, `datasets` from stored images.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.text import Text


class AgeSource(StrEnum):
    """Where a patient's age was taken from; the gate says which."""

    PATIENT_AGE = "PatientAge"
    """DICOM (0010,1010), value representation AS."""
    BIRTH_AND_STUDY_DATE = "PatientBirthDate and StudyDate"
    """DICOM (0010,0030) and (0008,0020), where PatientAge is absent or malformed."""


@dataclass(frozen=True, slots=True)
class RadiographFacts:
    """What the header says, and no more: `None` where it says nothing or nothing usable.

    None of these values identifies a patient.
    """

    source_format: str
    """`DICOM`, `PNG` or `JPEG`."""
    modality: str | None = None
    """DICOM Modality (0008,0060), for example `CR` or `DX`."""
    body_part: str | None = None
    """Body Part Examined (0018,0015) or Anatomic Region Sequence, upper case, e.g. `CHEST`."""
    view_position: str | None = None
    """View Position (0018,5101), upper case: `PA`, `AP`, `LL`..."""
    age_years: float | None = None
    """Age at the study in years, a fraction where months, weeks or days were given."""
    age_source: AgeSource | None = None
    sop_class: str | None = None
    """Name of the SOP class, for example `Computed Radiography Image Storage`."""
    transfer_syntax: str | None = None
    """Name of the transfer syntax."""
    photometric_interpretation: str | None = None
    bits_stored: int | None = None
    frames: int = 1
    presentation_intent: str | None = None
    """Presentation Intent Type (0008,0068), else what the SOP class is for: `FOR PRESENTATION` or
    `FOR PROCESSING`, which are raw values that nobody is meant to read (PS3.3 C.8.11.1.1.1)."""
    rows: int | None = None
    """Rows of the stored image, where a rule may ask for them."""
    columns: int | None = None
    """Columns of the stored image, where a rule may ask for them."""
    remarks: tuple[Text, ...] = ()
    """What in the header was absent, contradictory or absurd and therefore not used, one plain
    sentence each, without any patient's data."""


@dataclass(frozen=True, slots=True)
class Radiograph:
    """Decoded pixels of one frame, as a person would see them, with their facts."""

    pixels: NDArray[np.uint8]
    """Shape (rows, columns), 0 black to 255 white in the sense of MONOCHROME2, after modality
    LUT and VOI LUT (PS3.3 C.11.1 and C.11.2). May be decoded at a reduced resolution."""
    rows: int
    """Rows of the stored image, not of `pixels`."""
    columns: int
    """Columns of the stored image, not of `pixels`."""
    facts: RadiographFacts
    shown_range: tuple[float, float] | None = None
    """What `pixels` show from black to white (of MONOCHROME2), in the unit of the modality LUT's
    output, where the header has no window and no table; None for all that can be stored."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8 or self.pixels.size == 0:
            raise ValueError(
                f"Radiograph.pixels must be a non-empty 2-d uint8 array, found shape "
                f"{self.pixels.shape} of {self.pixels.dtype}."
            )

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The grey levels, shape (rows, columns)."""
        return self.pixels
