"""Frontal chest radiographs of children aged 1 to 5: normal, or pneumonia (bacterial or viral).

Kermany DS, Goldbaum M, Cai W, et al. Cell 2018;172:1122-1131; doi:10.17632/rscbjbr9sj, CC BY 4.0.
Guangzhou Women and Children's Medical Center. Read from `chest_xray_kermany/` under the folder that
`ZHUZHEN_DATA` names: `index.csv` (path, label, subtype, patient_key) and 224 x 224 px JPEG files
whose aspect ratio was not kept.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from datasets.manifest import Manifest, Sample
from models.errors import DataError
from models.package import digest_of

NAME = "chest_xray_kermany"
LABELS = ("pneumonia",)
COLUMNS = ("path", "label", "subtype", "patient_key")
PRESENT: Mapping[str, tuple[str, ...]] = {"NORMAL": (), "PNEUMONIA": ("pneumonia",)}
"""The source's labels and the findings they stand for."""
SUBTYPES: Mapping[str, tuple[str, ...]] = {
    "NORMAL": ("normal",),
    "PNEUMONIA": ("bacteria", "virus"),
}
"""The subtypes that each label can have."""


def read(data: Path) -> Manifest:
    """Read the manifest from `data`, the folder of all data sets.

    Raises:
        DataError: the index is absent or has a row that does not fit, or an image is absent; the
            message names the row or the file.
    """
    root = data / NAME
    index = root / "index.csv"
    if not index.is_file():
        raise DataError(
            f"{NAME}/index.csv is not in the data folder; set ZHUZHEN_DATA to the folder that "
            f"holds {NAME}/."
        )
    try:
        text = index.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{NAME}/index.csv is not UTF-8; save it again in UTF-8.") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise DataError(
            f"{NAME}/index.csv has the columns {rows.fieldnames}, expected {list(COLUMNS)}."
        )
    # Row 1 is the header, as a spreadsheet shows it.
    samples = tuple(_sample(root, row, number) for number, row in enumerate(rows, start=2))
    return Manifest(NAME, LABELS, root, samples)


def _sample(root: Path, row: dict[str, str | None], number: int) -> Sample:
    where = f"{NAME}/index.csv row {number}"
    path, label, subtype, patient = (row.get(column) or "" for column in COLUMNS)
    if label not in PRESENT or subtype not in SUBTYPES[label]:
        raise DataError(
            f"{where}: label {label!r} with subtype {subtype!r}; expected one of {dict(SUBTYPES)}."
        )
    if not path or not patient:
        raise DataError(f"{where}: path and patient_key must not be empty.")
    image = (root / path).resolve()
    if not image.is_relative_to(root.resolve()) or not image.is_file():
        raise DataError(f"{where}: {path} is not a file of {NAME}/; restore it or drop the row.")
    return Sample(path, patient, PRESENT[label], subtype, digest_of(image))
