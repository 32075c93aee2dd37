"""What rules may ask of a series."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from serving.archive.entries import text_of
from serving.archive.header import Attributes
from serving.imaging.anatomy_codes import BODY_PART_BY_SPELLING
from serving.imaging.patient_age import read_age


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """One series of one study, as rules see it. None: not said in the header."""

    source: str
    modality: str | None
    body_part: str | None
    age_years: float | None
    description: str
    """Study and series description, one after the other."""


def facts_of(
    study: Attributes, series: Attributes, instance: Attributes, source: str
) -> SeriesFacts:
    """Return the facts in the index attributes of a series and one of its instances."""
    spelled = text_of(series, "00180015").upper()
    descriptions = (text_of(study, "00081030"), text_of(series, "0008103E"))
    return SeriesFacts(
        source=source,
        modality=text_of(series, "00080060").upper() or None,
        body_part=BODY_PART_BY_SPELLING.get(spelled, spelled) or None,
        age_years=read_age(Dataset.from_json({**study, **instance})).years,
        description=" ".join(filter(None, descriptions)),
    )
