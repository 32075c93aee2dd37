"""From what a model answered to what monitoring keeps of it: measurements, and no person."""

import hashlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from models.findings import PreRead
from models.observation import Observation, Said
from models.table import TableInput, TableSpec
from models.tile import Tile
from serving.people import Assessment
from serving.privacy import Keyring, pseudonym_of
from serving.recognition import Reading
from serving.shelf import Shelf
from serving.watching import Watcher

_STEPS = 20
"""An input of a person is kept to a twentieth of its usual range: enough to see another
population."""
_EDGE_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class ImageWatch:
    """Tells a watcher of readings of images, wherever these came in."""

    watcher: Watcher | None
    """None where the operator wants nothing observed."""
    shelf: Shelf
    """Where a challenger is taken from."""
    keyring: Keyring

    def saw(self, asked: str, reading: Reading, data: bytes, institution: str) -> None:
        """Tell of `reading` of `data`, for which the model `asked` was asked."""
        if self.watcher is None:
            return

        def challenge(other: str) -> Observation:
            return observed_reading(self.shelf.recognizer(other).read(data), institution)

        sent = input_pseudonym(self.keyring, data)
        observed = observed_reading(reading, institution, sent)
        self.watcher.saw(asked, reading.pre_read.model, observed, challenge)


def observed_reading(reading: Reading, institution: str, sent: str = "") -> Observation:
    """Return what is kept of `reading`, whose input is called `sent` (`input_pseudonym`)."""
    pre_read = reading.pre_read
    return Observation(
        at=_now(),
        institution=institution,
        model=pre_read.model.name,
        version=pre_read.model.version,
        verdict=pre_read.verdict.value,
        facts=_facts(reading),
        codes=_codes(pre_read),
        ood_score=pre_read.ood_score,
        position=reading.position,
        said={
            finding.label: Said(finding.probability, finding.decision.value)
            for finding in pre_read.findings
        },
        sent=sent,
    )


def observed_person(assessment: Assessment, spec: TableSpec, institution: str) -> Observation:
    """Return what is kept of the assessment of a person by a model that takes `spec`.

    Numbers are coarse; of a person who was refused, nothing but the verdict is kept.
    """
    inputs = {each.name: each for each in spec.inputs}
    facts: dict[str, float] = {}
    codes: dict[str, str] = {}
    for each in assessment.risks[0].contributions if assessment.risks else ():
        if each.value is None:
            codes[each.name] = "missing"
        elif isinstance(each.value, str):
            codes[each.name] = each.value
        else:
            facts[each.name] = _coarse(each.value, inputs[each.name])
    return Observation(
        at=_now(),
        institution=institution,
        model=assessment.model.name,
        version=assessment.model.version,
        verdict=assessment.verdict.value,
        facts=facts,
        codes=codes,
        ood_score=assessment.ood_score,
        position=assessment.position,
        said={risk.label: Said(risk.probability, risk.decision.value) for risk in assessment.risks},
    )


def input_pseudonym(keyring: Keyring, data: bytes) -> str:
    """Return what stands for the input `data` in observations and in reviews of what was said.

    Without the installation's key nobody can tell which image it was. Length, beginning and end of
    the bytes decide it: hashing 10 MB of each radiograph would cost more than reading it.
    """
    return _pseudonym(keyring, len(data), data[:_EDGE_BYTES], data[-_EDGE_BYTES:])


def file_pseudonym(keyring: Keyring, file: BinaryIO) -> str:
    """Return the same of an input in a file that can be read anywhere."""
    beginning = file.read(_EDGE_BYTES)
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _EDGE_BYTES))
    return _pseudonym(keyring, size, beginning, file.read())


def _pseudonym(keyring: Keyring, size: int, beginning: bytes, end: bytes) -> str:
    edges = hashlib.sha256(beginning + end).hexdigest()
    return pseudonym_of(keyring, "input", f"{size} {edges}")


def _coarse(value: float, each: TableInput) -> float:
    if each.usual_low is None or each.usual_high is None or each.usual_high <= each.usual_low:
        return float(round(value))
    step = (each.usual_high - each.usual_low) / _STEPS
    return round(round(value / step) * step, 6)


def _facts(reading: Reading) -> dict[str, float]:
    pre_read, facts = reading.pre_read, dict[str, float]()
    quality = pre_read.quality
    if quality is not None:
        facts = {
            "rows_px": float(quality.rows),
            "columns_px": float(quality.columns),
            "dynamic_range": quality.dynamic_range,
            "clipped_fraction": quality.clipped_fraction,
            "sharpness": quality.sharpness,
        }
    if quality is not None and isinstance(reading.radiograph, Tile):
        # Another stain, or another scanner, is another colour before it is anything else.
        means = reading.radiograph.pixels.mean(axis=(0, 1))
        named = zip(("red", "green", "blue"), means, strict=True)
        facts |= {f"mean_{name}": float(mean) for name, mean in named}
    if pre_read.facts is not None and pre_read.facts.age_years is not None:
        # To the year: enough to see another population, too little to know a child by.
        facts["age_years"] = float(int(pre_read.facts.age_years))
    return facts


def _codes(pre_read: PreRead) -> dict[str, str]:
    facts = pre_read.facts
    if facts is None:
        return {}
    named = {
        "source_format": facts.source_format,
        "modality": facts.modality,
        "body_part": facts.body_part,
        "view_position": facts.view_position,
        "photometric_interpretation": facts.photometric_interpretation,
    }
    # Longer values than any defined term are a sender's own words.
    return {name: value for name, value in named.items() if value and len(value) <= 16}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
