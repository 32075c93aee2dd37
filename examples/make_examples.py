"""Wrap four published radiographs of children in DICOM objects.

    python examples/make_examples.py

reads `chest_xray_fullres/val16` under the folder that `ZHUZHEN_DATA` names and writes the `.dcm`
files beside this script: Computed Radiography images (PS3.3 A.2) in JPEG Baseline (PS3.5 A.4.1),
in which the bytes of the published JPEG files are the compressed frames, unchanged. The same input
gives the same bytes on every run.
"""

import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ComputedRadiographyImageStorage, JPEGBaseline8Bit

HERE = Path(__file__).parent
SOURCE = Path("chest_xray_fullres", "val16")
DATASET_URL = "https://doi.org/10.17632/rscbjbr9sj"


@dataclass(frozen=True, slots=True)
class Example:
    """One published radiograph and what it is called here."""

    published_name: str
    name: str
    patient_name: str
    """Invented, as Patient's Name (0010,0010): alphabetic = ideographic."""
    known: str
    """What the publishers say it shows."""
    view_position: str = ""
    """View Position (0018,5101): where the image carries it burnt in, else empty."""


EXAMPLES = (
    Example(
        "NORMAL2-IM-1427-0001.jpeg", "child-normal-1", "Example^Normal One=示例^正常一", "normal"
    ),
    Example(
        "NORMAL2-IM-1440-0001.jpeg", "child-normal-2", "Example^Normal Two=示例^正常二", "normal"
    ),
    Example(
        "person1946_bacteria_4874.jpeg",
        "child-pneumonia-1",
        "Example^Pneumonia One=示例^肺炎一",
        "bacterial pneumonia",
        "AP",
    ),
    Example(
        "person1952_bacteria_4883.jpeg",
        "child-pneumonia-2",
        "Example^Pneumonia Two=示例^肺炎二",
        "bacterial pneumonia",
        "AP",
    ),
)


def derived_uid(example: Example, role: str) -> UID:
    """Return the UID of one `role` of an example, from its published name alone (PS3.5 B.2)."""
    name = f"{DATASET_URL}/{example.published_name}#{role}"
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}")


def wrap(example: Example, jpeg: Path) -> Dataset:
    """Return the DICOM object around the JPEG file at `jpeg`.

    Raises:
        ValueError: it is not an 8-bit grey baseline JPEG, whose bytes could be taken as they are.
    """
    with Image.open(jpeg) as image:
        if image.format != "JPEG" or image.mode != "L" or image.info.get("progressive"):
            raise ValueError(f"{jpeg.name} is not an 8-bit grey baseline JPEG.")
        columns, rows = image.size
    content = jpeg.read_bytes()
    dataset = Dataset()
    _identify(dataset, example)
    _describe_acquisition(dataset, example)
    _describe_pixels(dataset, rows, columns, len(content))
    dataset.PixelData = encapsulate([content])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return dataset


def _identify(dataset: Dataset, example: Example) -> None:
    """Set the Patient, General Study, General Series and SOP Common modules."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = derived_uid(example, "instance")
    dataset.StudyInstanceUID = derived_uid(example, "study")
    dataset.SeriesInstanceUID = derived_uid(example, "series")
    dataset.PatientName = example.patient_name
    dataset.PatientID = f"ZHUZHEN-EXAMPLE-{example.name.upper()}"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Published without identity; names and IDs here are invented"
    # Not published for the single child, so left empty (type 2): the age above all, of which only
    # the range of the whole set is known.
    for keyword in (
        *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
        *("AccessionNumber", "ReferringPhysicianName", "Manufacturer"),
    ):
        setattr(dataset, keyword, "")
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.StudyDescription = "Zhuzhen example"
    dataset.ImageComments = f"CC BY 4.0, Kermany et al. 2018, {DATASET_URL}"


def _describe_acquisition(dataset: Dataset, example: Example) -> None:
    """Set the CR Series, General Image and CR Image modules."""
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = example.view_position
    dataset.PatientOrientation = ""
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "JPEG file as published, wrapped in DICOM"
    # The burnt-in side and view markers identify nobody, which is what this asks.
    dataset.BurnedInAnnotation = "NO"


def _describe_pixels(dataset: Dataset, rows: int, columns: int, compressed_bytes: int) -> None:
    """Set the Image Pixel module and what PS3.3 C.7.6.1.1.5 asks of lossy compression."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.LossyImageCompressionRatio = round(rows * columns / compressed_bytes, 2)


def main() -> None:
    """Write all examples."""
    if "ZHUZHEN_DATA" not in os.environ:
        sys.exit(f"Set ZHUZHEN_DATA to the folder that holds {SOURCE}.")
    source = Path(os.environ["ZHUZHEN_DATA"]) / SOURCE
    for example in EXAMPLES:
        dataset = wrap(example, source / example.published_name)
        dataset.save_as(HERE / f"{example.name}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main()
