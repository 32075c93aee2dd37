"""From `deidentify` in a destination's entry to how what goes there is de-identified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from pydicom.dataset import Dataset

from models.deidentification import Deidentifier, Options
from models.errors import ZhuzhenError
from models.findings import Region


class OutsideSettingError(ZhuzhenError, ValueError):
    """`deidentify` in a destination's entry cannot be used."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Where images of one kind of device carry text in their pixels, as somebody has looked up."""

    modality: str
    rows: int
    columns: int
    regions: tuple[Region, ...]
    """What is blackened; none: somebody looked, and there is no text."""

    def fits(self, header: Dataset) -> bool:
        """Whether the image with this header is of the kind."""
        found = (header.get("Modality"), header.get("Rows"), header.get("Columns"))
        return found == (self.modality, self.rows, self.columns)


@dataclass(frozen=True, slots=True)
class Outside:
    """How what goes to one destination outside of the institution is made."""

    deidentifier: Deidentifier
    images: bool = True
    """Whether the images go."""
    results: bool = True
    """Whether the results on them go, made anew on what is left of the images' headers."""
    masks: tuple[Mask, ...] = ()

    def regions(self, header: Dataset) -> Sequence[Region] | None:
        """Return what to blacken in the image with this header; None: nobody looked."""
        return next((mask.regions for mask in self.masks if mask.fits(header)), None)


def outside_of(entry: Mapping[str, Any], folder: Path | None = None) -> Outside | None:
    """Return how what goes to a destination is de-identified, None where it stays inside.

    Raises:
        OutsideSettingError: naming the destination and what was expected.
    """
    asked = entry.get("deidentify")
    if asked is None:
        return None
    try:
        return _outside(asked, folder or Path())
    except (ValueError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise OutsideSettingError(
            f"Destination {entry.get('name', '')}: deidentify cannot be used: {told}"
        ) from None


def _outside(asked: Mapping[str, Any], folder: Path) -> Outside:
    # Bytes as they are: a secret from a source of random numbers is no text.
    secret = (folder / asked["secret_file"]).read_bytes().strip()
    recipient = None
    if "recipient_file" in asked:
        recipient = x509.load_pem_x509_certificate((folder / asked["recipient_file"]).read_bytes())
    options = Options(device_identity=asked.get("keep_device_identity", False))
    send = asked.get("send", ["images", "results"])
    return Outside(
        Deidentifier(secret, options, recipient=recipient),
        images="images" in send,
        results="results" in send,
        masks=tuple(
            Mask(
                each["modality"],
                each["rows"],
                each["columns"],
                tuple(_region(*region) for region in each["regions"]),
            )
            for each in asked.get("masks", ())
        ),
    )


def _region(column: int, row: int, width: int, height: int) -> Region:
    return Region(column, row, width, height, score=0.0)
