"""Instances to send: CT slices and radiographs, as large as real ones."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

_PLACE = "1.2.826.0.1.3680043.8.498." + "9" * 38
"""Stands where a file's SOP Instance UID goes; 64 characters, as long as a UID may be."""
_FEWER = 10
"""So many times fewer for a quick look."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Files of one kind, made anew with UIDs that nobody has seen."""

    name: str
    folder: Path
    template: bytes
    """A file with `_PLACE` where its SOP Instance UID goes, twice."""
    count: int

    def renewed(self) -> list[Path]:
        """Write the files, each with a UID of its own, and return their paths."""
        self.folder.mkdir(exist_ok=True)
        files = []
        for number in range(self.count):
            uid = generate_uid().ljust(len(_PLACE), "\0")
            file = self.folder / f"{number}.dcm"
            file.write_bytes(self.template.replace(_PLACE.encode(), uid.encode()))
            files.append(file)
        return files


def make_collections(folder: Path, *, few: bool) -> list[Collection]:
    """Return 1,000 CT slices of 0.5 MB and 50 radiographs of 7 MB; a tenth of them if `few`."""
    share = _FEWER if few else 1
    kinds = (
        ("CT slices of 0.5 MB", CTImageStorage, 512, 512, 1000 // share),
        ("radiographs of 7 MB", DigitalXRayImageStorageForPresentation, 1955, 1841, 50 // share),
    )
    return [
        Collection(name, folder / str(rows), _template(sop_class, rows, columns), count)
        for name, sop_class, rows, columns, count in kinds
    ]


def _template(sop_class: UID, rows: int, columns: int) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = _PLACE
    dataset.StudyDate = "20260102"
    dataset.StudyTime = "101010"
    dataset.AccessionNumber = "BENCH"
    dataset.Modality = "CT" if sop_class == CTImageStorage else "DX"
    dataset.PatientName = "Bench^Mark"
    dataset.PatientID = "BENCH"
    dataset.PatientBirthDate = "19800101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.StudyID = "1"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    noise = np.random.default_rng(1).integers(0, 4096, (rows, columns), dtype=np.uint16)
    dataset.PixelData = noise.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
