"""Where samples come from: every source yields rows, and one mapping makes samples of them.

A source knows how to list its rows and where each one's bytes lie; `datasets.reading` alone knows
what their columns mean, by the data set's description. A new kind of source is one function here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One sample as its source gives it."""

    where: str
    """How an error names it: the file and the row, as a spreadsheet shows it."""
    values: Mapping[str, str]
    """Text by column; a value that is absent is the empty string."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of a source and the folder that their paths are relative to."""

    root: Path
    rows: Iterator[Row]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is read from."""

    name: str
    """Of the data set."""
    data: Path
    """Folder of all data sets (`ZHUZHEN_DATA`)."""
    beside: Path
    """Folder of the description, for files that are named in it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The description's `source`."""

    def setting(self, name: str) -> Any:
        """Return the setting `name` of the source.

        Raises:
            DataError: the description does not have it.
        """
        if name not in self.settings:
            raise DataError(
                f"{self.name}: source lacks {name!r}, which the kind {self.settings['kind']} needs."
            )
        return self.settings[name]

    def folder(self) -> Path:
        """Return the folder of the data set: `folder` below the data folder or the description.

        Raises:
            DataError: it is not there.
        """
        named = Path(str(self.settings.get("folder", self.name)))
        for root in (self.data, self.beside):
            if (root / named).is_dir():
                return root / named
        raise DataError(
            f"The folder {named} is not in the data folder; set ZHUZHEN_DATA to the folder that "
            f"holds {named}/ (docs/data.md says how to obtain it)."
        )


Source = Callable[[Place], Listing]


def source_of(kind: str) -> Source:
    """Return the source of this kind.

    Raises:
        DataError: there is none.
    """
    from datasets.sources import dicom, fhir_ndjson, slide_patches, table

    kinds: Mapping[str, Source] = {
        "folder_csv": table.folder_csv,
        "table": table.table,
        "dicom_folder": dicom.dicom_folder,
        "dicomweb": dicom.dicomweb,
        "fhir_ndjson": fhir_ndjson.fhir_ndjson,
        "slide_patches": slide_patches.slide_patches,
    }
    if kind not in kinds:
        raise DataError(f"There is no source of the kind {kind!r}; known are {', '.join(kinds)}.")
    return kinds[kind]
