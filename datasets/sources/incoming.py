"""DICOM on the way in: de-identified before anything else sees it, and what was removed is kept.

PS3.15's Basic Profile by `models.deidentification`, under a secret of this installation's own, so
that a patient has one pseudonym in every import. The de-identified copies lie under
`ZHUZHEN_HOME/datasets/<name>/`; beside them `removed.jsonl` says for each which elements were
removed or replaced, without their values.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from datasets.pictures import require_readable
from datasets.sources import Listing, Place, Row
from datasets.sources.csv_file import UTF_8, read_csv
from models.deidentification import DeidentificationError, Deidentifier
from models.errors import DataError
from models.store import home

KEYS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID")
"""Elements by which a table of labels may name images, as the hospital's systems do."""
FACTS = (
    *("Modality", "ViewPosition", "BodyPartExamined", "PhotometricInterpretation", "BitsStored"),
    *("KVP", "Exposure", "ExposureTime", "DistanceSourceToDetector", "ImagerPixelSpacing"),
    *("Rows", "Columns", "PatientSex"),
)
"""Elements of the de-identified object that become columns, by keyword."""
_REMOVED = "removed.jsonl"
_SECRET_BYTES = 32


def secret() -> bytes:
    """Return the secret of this installation, made at its first use, for its owner alone.

    `ZHUZHEN_DEIDENTIFICATION_KEY` names another file. Who has it can tell which pseudonym a patient
    has; lost, later imports give other pseudonyms to the same patients.

    Raises:
        DataError: the file cannot be read or is too short.
    """
    named = os.environ.get("ZHUZHEN_DEIDENTIFICATION_KEY")
    path = Path(named) if named else home() / "keys" / "deidentification.key"
    try:
        if not named and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(_SECRET_BYTES))
        content = path.read_bytes().strip()
    except OSError as error:
        raise DataError(
            f"The key of de-identification cannot be read ({error.strerror}); name its file by "
            "ZHUZHEN_DEIDENTIFICATION_KEY."
        ) from error
    if len(content) < _SECRET_BYTES:
        raise DataError(
            f"The key of de-identification has {len(content)} bytes; expected {_SECRET_BYTES} or "
            "more, from a source of random numbers."
        )
    return content


def bring_in(place: Place, objects: Iterable[tuple[str, bytes]]) -> Listing:
    """De-identify `objects`, each with how an error names it, and return a row for each image.

    Settings: `labels`, a CSV file beside the description or in its folder, whose `key` is a column
    named as one of `KEYS`; its other columns join the image's own. `burned_in: none` says that
    somebody looked at the images and no name is burnt into any. `encoding` is that of the table.

    Raises:
        DataError: an object is no image that can be decoded, may show a name, or has no label; or a
            label has no image.
    """
    labels = _Labels(place)
    folder = home() / "datasets" / place.name
    folder.mkdir(parents=True, exist_ok=True)
    deidentifier = Deidentifier(secret())
    mask = () if place.settings.get("burned_in") == "none" else None
    rows: list[Row] = []
    pictures: list[tuple[Path, str]] = []
    with (folder / _REMOVED).open("w", encoding="utf-8") as removed:
        for where, data in objects:
            source = _header(where, data)
            label = labels.of(source, where)
            try:
                done = deidentifier.deidentify(data, mask=mask)
            except DeidentificationError as error:
                raise DataError(f"{where}: {error}") from error
            made = _header(where, done.data)
            name = f"{made.SOPInstanceUID}.dcm"
            (folder / name).write_bytes(done.data)
            kept = {"sample": name, "removed": list(done.changed)}
            removed.write(json.dumps(kept) + "\n")
            pictures.append((folder / name, where))
            rows.append(Row(where, {**label, **_columns(made), "path": name}))
    labels.require_all_used()
    # Here, where the file is still known by its own name.
    require_readable(pictures)
    return Listing(folder, iter(rows))


class _Labels:
    """The table of labels, by the element that names images."""

    def __init__(self, place: Place) -> None:
        self._shown = str(place.setting("labels"))
        self._key = str(place.settings.get("key", KEYS[0]))
        if self._key not in KEYS:
            raise DataError(f"{place.name}: key is {self._key!r}; expected one of {list(KEYS)}.")
        read = list(self._read(place))
        self._numbers = {key: number for number, key, _ in read}
        self._rows = {key: row for _, key, row in read}
        self._used: set[str] = set()

    def of(self, source: Dataset, where: str) -> Mapping[str, str]:
        """Return the label's columns of one image, without the key itself."""
        key = str(source.get(self._key) or "")
        if key not in self._rows:
            raise DataError(
                f"{where}: {self._shown} has no row for its {self._key}; add it, or move the image "
                "away."
            )
        self._used.add(key)
        return {name: value for name, value in self._rows[key].items() if name != self._key}

    def require_all_used(self) -> None:
        """Make sure that no label is without an image.

        Raises:
            DataError: telling how many and the row of the first.
        """
        unused = [at for key, at in self._numbers.items() if key not in self._used]
        if unused:
            raise DataError(
                f"{self._shown}: {len(unused)} rows have no image, first row {unused[0]}; restore "
                "the images or drop the rows."
            )

    def _read(self, place: Place) -> Iterator[tuple[int, str, dict[str, str]]]:
        path = place.beside / self._shown
        if not path.is_file():
            raise DataError(f"The table of labels {self._shown} is not beside the description.")
        found = read_csv(path, self._shown, str(place.settings.get("encoding", UTF_8)))
        if self._key not in found.columns:
            raise DataError(
                f"{self._shown} has no column {self._key!r}; there are {list(found.columns)}. Name "
                f"the column after the element that names the images, or say another `key`."
            )
        seen: set[str] = set()
        for number, row in found.rows.items():
            key = row[self._key]
            if not key or key in seen:
                raise DataError(
                    f"{self._shown} row {number}: {self._key} is empty or there twice; every image "
                    "needs one row of its own."
                )
            seen.add(key)
            yield number, key, {name: value for name, value in row.items() if name}


def _header(where: str, data: bytes) -> Dataset:
    try:
        return pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError, AttributeError) as error:
        raise DataError(f"{where} is not a DICOM file; move it away.") from error


def _columns(made: Dataset) -> dict[str, str]:
    columns = {name: _text(made.get(name)) for name in FACTS}
    # The de-identified object's own: a pseudonym.
    columns["patient"] = str(made.PatientID)
    columns["age_years"] = _age_years(str(made.get("PatientAge") or ""))
    return columns


def _text(value: Any) -> str:
    if value is None:
        return ""
    first = value[0] if isinstance(value, pydicom.multival.MultiValue) and value else value
    return str(first)


def _age_years(age: str) -> str:
    """Return an age string (PS3.5 table 6.2-1, AS) in years; empty where there is none."""
    days = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
    if len(age) != 4 or not age[:3].isdigit() or age[3] not in days:
        return ""
    return f"{int(age[:3]) * days[age[3]] / 365.25:.2f}"
