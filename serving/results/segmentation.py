"""The places that speak for a finding, as a segmentation on the source's own pixels (PS3.3 A.51).

One segment for each finding with regions: where its heat is at least half of the strongest. A
radiograph has no frame of reference, so the segmentation has the source's rows and columns and is
tied to it by the Derivation Image functional group.
"""

import numpy as np
from highdicom import AlgorithmIdentificationSequence, seg
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.evidence import REGION_LEVEL, Heat
from models.findings import Finding
from serving.results import terms
from serving.results.equipment import MANUFACTURER, SERIES_NUMBERS, Maker
from serving.results.identity import ResultKind, result_uid, series_uid
from serving.results.read_image import ReadImage

_KIND = ResultKind.SEGMENTATION
_COLOUR = CIELabColor(62.0, 60.0, 58.0)
"""Recommended display colour: orange, which neither bone nor lung has."""


def build_segmentation(image: ReadImage, maker: Maker) -> Dataset | None:
    """Return the segmentation of `image`, or None where no region speaks for a finding."""
    findings = [finding for finding in image.pre_read.findings if finding.regions]
    radiograph = image.reading.radiograph
    if not findings or radiograph is None:
        return None
    masks = [
        mask_of(image.reading.heats[finding.label], radiograph.rows, radiograph.columns)
        for finding in findings
    ]
    source = image.source
    dataset = seg.Segmentation(
        source_images=[_single_frame(source.header)],
        pixel_array=np.stack(masks, axis=-1)[np.newaxis],
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, finding, image, maker) for number, finding in enumerate(findings, 1)
        ],
        series_instance_uid=series_uid(_KIND, maker.model, source.study_instance_uid),
        series_number=SERIES_NUMBERS[_KIND],
        sop_instance_uid=result_uid(_KIND, maker.model, (source.identity,)),
        instance_number=source.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.model_name,
        software_versions=maker.software_versions,  # type: ignore[arg-type]
        device_serial_number=maker.serial_number,
        content_label="PREREAD_EVIDENCE",
        content_description="Places that speak for a finding; not for primary diagnosis",
        specific_character_set=source.character_set,
    )
    # The pixels are the source's own, so what lies where is too (type 2C, PS3.3 C.7.6.1).
    dataset.PatientOrientation = source.header.get("PatientOrientation", "")
    _add_pixel_measures(dataset, source.header)
    _fix_dimensions(dataset, image, maker)
    return dataset


def mask_of(heat: Heat, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return 1 where `heat` reaches the level of a region, shape (rows, columns)."""
    fine = Image.fromarray(heat).resize((columns, rows), Image.Resampling.BILINEAR)
    return (np.asarray(fine) >= REGION_LEVEL).view(np.uint8)


def _segment(
    number: int, finding: Finding, image: ReadImage, maker: Maker
) -> seg.SegmentDescription:
    model = maker.model
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=f"Evidence: {finding.name.en}"[:64],
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=terms.concept_of(finding.codes, finding.label),
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name,
            family=terms.ARTIFICIAL_INTELLIGENCE,
            version=model.version,
            source=MANUFACTURER,
            parameters={"digest": model.digest},
        ),
        tracking_uid=result_uid(_KIND, model, (image.source.identity,), role=finding.label),
        tracking_id=f"{model.name} {finding.label}"[:64],
        display_color=_COLOUR,
    )


def _single_frame(header: Dataset) -> Dataset:
    """Return the header as that of its first frame: a model reads no other."""
    if int(header.get("NumberOfFrames") or 1) == 1:
        return header
    single = Dataset()
    single.update(header)
    del single.NumberOfFrames
    return single


def _add_pixel_measures(dataset: Dataset, header: Dataset) -> None:
    """Say how large pixels are, where the source does; OHIF opens no segmentation without it."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    if spacing and "PixelMeasuresSequence" not in shared:
        measures = Dataset()
        measures.PixelSpacing = list(spacing)
        shared.PixelMeasuresSequence = [measures]


def _fix_dimensions(dataset: Dataset, image: ReadImage, maker: Maker) -> None:
    """Replace the random UID that highdicom gives the dimensions."""
    source = image.source.identity
    uid = result_uid(_KIND, maker.model, (source,), role="dimensions")
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, []):
            item.DimensionOrganizationUID = uid
