"""From an object of a patient to one that tells nobody whose it is (PS3.15 annex E)."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO

import pydicom
from cryptography import x509
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from models.deidentification import burned_in, envelope
from models.deidentification.actions import Action, action_on, cleaned, dummy_for
from models.deidentification.errors import DeidentificationError
from models.deidentification.options import CLEAN_PIXEL_DATA, MethodCode, Options
from models.deidentification.second_check import check_nothing_left
from models.findings import Region
from models.quiet import quiet_decoders

_SHORTEST_SECRET_BYTES = 16
_MOST_DAYS = 3650
"""Dates move into the past by 1 to this many days."""
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class Deidentified:
    """An object that may leave, and what was done to it."""

    data: bytes
    """The file (PS3.10)."""
    pseudonym: str
    """Patient ID (0010,0020) in it."""
    changed: tuple[str, ...]
    """Keywords of the elements that were removed, emptied or replaced, without their values."""
    days: int
    """By how many days dates were moved; it is not in the object, and must not leave."""


class Deidentifier:
    """De-identifies objects under one secret; may be used from several threads at once.

    The secret decides pseudonyms, UIDs and the days by which dates move: the same patient, study
    and image become the same wherever it is used, and nobody without it can tell whose they are.
    """

    def __init__(
        self,
        secret: bytes,
        options: Options | None = None,
        *,
        recipient: x509.Certificate | None = None,
    ) -> None:
        if len(secret) < _SHORTEST_SECRET_BYTES:
            raise ValueError(
                f"The secret has {len(secret)} bytes; expected {_SHORTEST_SECRET_BYTES} or more, "
                "from a source of random numbers."
            )
        self._secret = secret
        self._options = options or Options()
        self._recipient = recipient

    def deidentify(self, data: bytes, *, mask: Sequence[Region] | None = None) -> Deidentified:
        """Return the object in `data` without what tells whose it is.

        `mask` are the regions of its pixels to blacken. None says that nobody looked: an image that
        may carry burnt-in text is then refused. An empty one says that there is none.

        Raises:
            DeidentificationError: the object is no image, cannot be read, may show a name in its
                pixels, or a value of the source was found in the result.
        """
        with quiet_decoders():
            return self._deidentify(data, mask)

    def _deidentify(self, data: bytes, mask: Sequence[Region] | None) -> Deidentified:
        source = _read(data)
        if mask is None:
            burned_in.check_pixels(source)
        result = _read(data)
        if mask:
            burned_in.mask_pixels(result, mask)
        pseudonym = self._pseudonym(source)
        days = self._days(source)
        changed = self._treat(result, days)
        result.PatientName = result.PatientID = pseudonym
        self._state(result, masked=mask is not None)
        if self._recipient is not None:
            originals = _originals(source, changed)
            result.EncryptedAttributesSequence = [envelope.seal(originals, self._recipient)]
        encoded, header, pixels = _encode(result)
        check_nothing_left(source, header, pixels)
        return Deidentified(encoded, pseudonym, tuple(sorted(changed)), days)

    def check(self, source: bytes, made: bytes) -> None:
        """Look for what `source` says of the patient in an object that was made from what is left.

        Raises:
            DeidentificationError: one of the two cannot be read, or a value of the source was found
                in the object.
        """
        with quiet_decoders():
            _, header, pixels = _encode(pydicom.dcmread(BytesIO(made)))
            check_nothing_left(_read(source), header, pixels)

    def new_uid(self, uid: str) -> UID:
        """Return what stands for `uid` in everything de-identified under this secret."""
        digest = self._digest("uid", uid)
        return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")

    def _digest(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self._secret, f"{purpose}\n{value}".encode(), hashlib.sha256)

    def _subject(self, source: Dataset) -> str:
        patient = str(source.get("PatientID") or "").strip()
        issuer = str(source.get("IssuerOfPatientID") or "").strip()
        return f"{issuer}\n{patient}" if patient else f"study {source.get('StudyInstanceUID')}"

    def _pseudonym(self, source: Dataset) -> str:
        return "P" + self._digest("patient", self._subject(source)).hex()[:24].upper()

    def _days(self, source: Dataset) -> int:
        digest = self._digest("days", self._subject(source))
        return 1 + int.from_bytes(digest[:8], "big") % _MOST_DAYS

    def _treat(self, dataset: Dataset, days: int) -> set[str]:
        """Apply the profile to `dataset` and all items in it; return what was changed."""
        changed: set[str] = set()
        for element in list(dataset):
            if element.keyword in _PIXELS:
                continue
            if element.tag.is_private:
                del dataset[element.tag]
                changed.add("private elements")
                continue
            before = None if element.VR == "SQ" else element.value
            if self._apply(dataset, element, days, changed) or (
                before is not None and dataset.get(element.tag, element).value != before
            ):
                changed.add(element.keyword or "repeating group")
        return changed

    def _apply(self, dataset: Dataset, element: DataElement, days: int, changed: set[str]) -> bool:
        """Apply what the profile says of one element; whether it is gone."""
        action = action_on(element, self._options)
        if element.VR == "SQ" and action is not Action.REMOVE:
            return self._treat_sequence(dataset, element, action, days, changed)
        match action:
            case Action.REMOVE:
                del dataset[element.tag]
                return True
            case Action.EMPTY:
                element.value = None
            case Action.DUMMY:
                element.value = dummy_for(element.VR) if element.value not in (None, "") else None
            case Action.NEW_UID:
                element.value = _each(element, self.new_uid)
            case Action.CLEAN:
                element.value = _each(element, cleaned)
            case Action.MOVE:
                element.value = _each(element, lambda value: _moved(element.VR, value, days))
        return False

    def _treat_sequence(
        self, dataset: Dataset, element: DataElement, action: Action, days: int, changed: set[str]
    ) -> bool:
        if action is Action.EMPTY:
            element.value = DicomSequence()
            return True
        if action is Action.DUMMY:
            # Nothing of an item can be trusted where the profile wants the whole replaced.
            del dataset[element.tag]
            return True
        for item in element.value:
            changed |= self._treat(item, days)
        return False

    def _state(self, dataset: Dataset, *, masked: bool) -> None:
        """Say in the object what was done (PS3.3 C.7.1.1, C.12.1)."""
        codes: list[MethodCode] = list(self._options.codes())
        codes += [CLEAN_PIXEL_DATA] if masked else []
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "Zhuzhen, PS3.15 2026c table E.1-1"
        dataset.DeidentificationMethodCodeSequence = [_code_item(code) for code in codes]
        modified = self._options.modified_dates
        dataset.LongitudinalTemporalInformationModified = "MODIFIED" if modified else "REMOVED"


def _read(data: bytes) -> Dataset:
    try:
        dataset = pydicom.dcmread(BytesIO(data))
        dataset.decode()
        is_image = "PixelData" in dataset and UID(str(dataset.SOPInstanceUID)).is_valid
        dataset.walk(lambda _dataset, _element: None)
    except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
        is_image = False
    if not is_image:
        raise DeidentificationError(
            "The object is not an image that can be read to its end; only images are "
            "de-identified. Reports and encapsulated documents stay in the institution."
        )
    return dataset


def _each(element: DataElement, change: Callable[[str], str]) -> object:
    if element.value in (None, ""):
        return element.value
    if element.VM > 1:
        return [change(str(value)) for value in element.value]
    return change(str(element.value))


def _moved(vr: str, value: str, days: int) -> str:
    """Return a date moved into the past, its time of day as it was; what is no date goes."""
    if vr == "TM":
        return value
    date, rest = value[:8], value[8:]
    try:
        moved = datetime.strptime(date, "%Y%m%d") - timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return moved.strftime("%Y%m%d").zfill(8) + rest


def _originals(source: Dataset, changed: set[str]) -> Dataset:
    """Return the top-level elements of `source` that were changed; private ones stay behind."""
    originals = Dataset()
    for element in source:
        if element.keyword in changed and element.keyword not in _PIXELS:
            originals.add(element)
    return originals


def _encode(dataset: Dataset) -> tuple[bytes, bytes, bytes]:
    """Return the file, the file without its pixels, and the pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
    whole = BytesIO()
    pydicom.dcmwrite(whole, dataset, enforce_file_format=True)
    pixels = bytes(dataset.get("PixelData") or b"")
    header = whole.getvalue().replace(pixels, b"") if pixels else whole.getvalue()
    return whole.getvalue(), header, pixels


def _code_item(code: MethodCode) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, "DCM", code.meaning
    return item
