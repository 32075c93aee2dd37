"""From a DICOM header to the facts that the gate judges by."""

from pydicom.dataset import Dataset
from pydicom.uid import UID

from models.radiograph import RadiographFacts
from serving.imaging.anatomy_codes import BODY_PART_BY_CODE, BODY_PART_BY_SPELLING, VIEW_BY_CODE
from serving.imaging.dicom_header import DicomHeader
from serving.imaging.dicom_values import code_string, has, is_filled, items, number, text
from serving.imaging.patient_age import read_age
from serving.imaging.pixel_format import PixelFormat


def read_facts(header: DicomHeader, layout: PixelFormat) -> RadiographFacts:
    """The facts of a DICOM image, with a remark for whatever could not be used."""
    dataset = header.dataset
    remarks: list[str] = []
    age = read_age(dataset)
    return RadiographFacts(
        source_format="DICOM",
        modality=_code_string(dataset, "Modality", "Modality (0008,0060)", remarks),
        body_part=_body_part(dataset, remarks),
        view_position=_view_position(dataset, remarks),
        age_years=age.years,
        age_source=age.source,
        sop_class=_registered_name(text(dataset, "SOPClassUID")),
        transfer_syntax=_registered_name(header.transfer_syntax),
        photometric_interpretation=layout.photometric,
        bits_stored=layout.bits_stored,
        frames=layout.frames,
        remarks=(*remarks, *age.remarks, *_spacing_remarks(dataset), *_colour_remarks(layout)),
    )


def _code_string(dataset: Dataset, keyword: str, name: str, remarks: list[str]) -> str | None:
    value = code_string(dataset, keyword)
    if value is None and is_filled(dataset, keyword):
        remarks.append(f"{name} is not a code string (PS3.5 CS); not used.")
    return value


def _body_part(dataset: Dataset, remarks: list[str]) -> str | None:
    plain = _code_string(dataset, "BodyPartExamined", "Body Part Examined (0018,0015)", remarks)
    if plain in BODY_PART_BY_SPELLING:
        term = BODY_PART_BY_SPELLING[plain]
        remarks.append(
            f"Body Part Examined (0018,0015) is {plain}; it was read as {term} (PS3.16, Annex L)."
        )
        plain = term
    coded = _from_code(dataset, "AnatomicRegionSequence", BODY_PART_BY_CODE)
    if plain and coded and plain != coded:
        remarks.append(
            "Body Part Examined (0018,0015) disagrees with Anatomic Region Sequence (0008,2218); "
            "Body Part Examined was used."
        )
    return plain or coded


def _view_position(dataset: Dataset, remarks: list[str]) -> str | None:
    plain = _code_string(dataset, "ViewPosition", "View Position (0018,5101)", remarks)
    coded = _from_code(dataset, "ViewCodeSequence", VIEW_BY_CODE)
    if plain and coded and plain != coded:
        remarks.append(
            "View Position (0018,5101) disagrees with View Code Sequence (0054,0220); "
            "View Position was used."
        )
    return plain or coded


def _from_code(dataset: Dataset, keyword: str, table: dict[str, str]) -> str | None:
    for item in items(dataset, keyword):
        value = text(item, "CodeValue")
        if value in table:
            return table[value]
    return None


def _registered_name(uid: str | None) -> str | None:
    """The standard's name of a UID, `None` for private and malformed ones."""
    if uid is None:
        return None
    name = UID(uid).name
    return name if name != uid else None


def _spacing_remarks(dataset: Dataset) -> list[str]:
    remarks = []
    for keyword, name in (
        ("PixelSpacing", "Pixel Spacing (0028,0030)"),
        ("ImagerPixelSpacing", "Imager Pixel Spacing (0018,1164)"),
    ):
        if has(dataset, keyword) and is_filled(dataset, keyword):
            spacing_mm = number(dataset, keyword)
            if spacing_mm is None or spacing_mm <= 0:
                remarks.append(f"{name} is not a positive length; sizes in mm are unknown.")
    return remarks


def _colour_remarks(layout: PixelFormat) -> list[str]:
    remarks = []
    if layout.photometric.startswith(("RGB", "YBR", "PALETTE")):
        remarks.append(
            f"Photometric Interpretation (0028,0004) is {layout.photometric}: a radiograph has "
            "no colour; its luminance was used."
        )
    if layout.frames > 1:
        remarks.append(f"The object has {layout.frames} frames; the first was read.")
    return remarks
