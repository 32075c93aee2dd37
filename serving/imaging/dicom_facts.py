"""From a DICOM header to the facts that the gate judges by."""

from pydicom.dataset import Dataset
from pydicom.uid import UID

from models.radiograph import RadiographFacts
from models.text import Text
from serving.imaging.anatomy_codes import BODY_PART_BY_CODE, BODY_PART_BY_SPELLING, VIEW_BY_CODE
from serving.imaging.dicom_header import DicomHeader
from serving.imaging.dicom_values import code_string, has, is_filled, items, number, text
from serving.imaging.patient_age import read_age
from serving.imaging.pixel_format import PixelFormat

_MODALITY = Text("Modality (0008,0060)", "成像方式 (0008,0060)")
_BODY_PART = Text("Body Part Examined (0018,0015)", "检查部位 (0018,0015)")
_VIEW_POSITION = Text("View Position (0018,5101)", "投照体位 (0018,5101)")
_SPACINGS = {
    "PixelSpacing": Text("Pixel Spacing (0028,0030)", "像素间距 (0028,0030)"),
    "ImagerPixelSpacing": Text("Imager Pixel Spacing (0018,1164)", "探测器像素间距 (0018,1164)"),
}
_PRESENTATION_INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
"""PS3.3 C.8.11.1; the names of the SOP classes of DX, MG and IO images end in the same words."""


def read_facts(header: DicomHeader, layout: PixelFormat) -> RadiographFacts:
    """The facts of a DICOM image, with a remark for whatever could not be used."""
    dataset = header.dataset
    remarks: list[Text] = []
    age = read_age(dataset)
    return RadiographFacts(
        source_format="DICOM",
        modality=_code_string(dataset, "Modality", _MODALITY, remarks),
        body_part=_body_part(dataset, remarks),
        view_position=_view_position(dataset, remarks),
        age_years=age.years,
        age_source=age.source,
        sop_class=_registered_name(text(dataset, "SOPClassUID")),
        transfer_syntax=_registered_name(header.transfer_syntax),
        photometric_interpretation=layout.photometric,
        bits_stored=layout.bits_stored,
        frames=layout.frames,
        presentation_intent=_presentation_intent(dataset),
        remarks=(*remarks, *age.remarks, *_spacing_remarks(dataset), *_colour_remarks(layout)),
    )


def _code_string(dataset: Dataset, keyword: str, name: Text, remarks: list[Text]) -> str | None:
    value = code_string(dataset, keyword)
    if value is None and is_filled(dataset, keyword):
        remarks.append(
            Text(
                f"{name.en} is not a code string (PS3.5 CS); not used.",
                f"{name.zh}不是有效的代码字符串，未采用。",
            )
        )
    return value


def _body_part(dataset: Dataset, remarks: list[Text]) -> str | None:
    plain = _code_string(dataset, "BodyPartExamined", _BODY_PART, remarks)
    if plain in BODY_PART_BY_SPELLING:
        term = BODY_PART_BY_SPELLING[plain]
        remarks.append(
            Text(
                f"{_BODY_PART.en} is {plain}; it was read as {term} (PS3.16, Annex L).",
                f"{_BODY_PART.zh}为 {plain}，按 {term} 读取。",
            )
        )
        plain = term
    coded = _from_code(dataset, "AnatomicRegionSequence", BODY_PART_BY_CODE)
    if plain and coded and plain != coded:
        remarks.append(
            Text(
                f"{_BODY_PART.en} disagrees with Anatomic Region Sequence (0008,2218); "
                "Body Part Examined was used.",
                f"{_BODY_PART.zh}与解剖部位序列 (0008,2218) 不符，已采用检查部位。",
            )
        )
    return plain or coded


def _view_position(dataset: Dataset, remarks: list[Text]) -> str | None:
    plain = _code_string(dataset, "ViewPosition", _VIEW_POSITION, remarks)
    coded = _from_code(dataset, "ViewCodeSequence", VIEW_BY_CODE)
    if plain and coded and plain != coded:
        remarks.append(
            Text(
                f"{_VIEW_POSITION.en} disagrees with View Code Sequence (0054,0220); "
                "View Position was used.",
                f"{_VIEW_POSITION.zh}与体位代码序列 (0054,0220) 不符，已采用投照体位。",
            )
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


def _presentation_intent(dataset: Dataset) -> str | None:
    stated = code_string(dataset, "PresentationIntentType")
    if stated in _PRESENTATION_INTENTS:
        return stated
    name = (_registered_name(text(dataset, "SOPClassUID")) or "").upper()
    return next((intent for intent in _PRESENTATION_INTENTS if name.endswith(intent)), None)


def _spacing_remarks(dataset: Dataset) -> list[Text]:
    remarks = []
    for keyword, name in _SPACINGS.items():
        if has(dataset, keyword) and is_filled(dataset, keyword):
            spacing_mm = number(dataset, keyword)
            if spacing_mm is None or spacing_mm <= 0:
                remarks.append(
                    Text(
                        f"{name.en} is not a positive length; sizes in mm are unknown.",
                        f"{name.zh}不是正数，实际尺寸（毫米）未知。",
                    )
                )
    return remarks


def _colour_remarks(layout: PixelFormat) -> list[Text]:
    remarks = []
    if layout.photometric.startswith(("RGB", "YBR", "PALETTE")):
        remarks.append(
            Text(
                f"Photometric Interpretation (0028,0004) is {layout.photometric}: a radiograph "
                "has no colour; its luminance was used.",
                f"光度解释 (0028,0004) 为 {layout.photometric}：X 线影像不应有颜色，已采用其亮度。",
            )
        )
    if layout.frames > 1:
        remarks.append(
            Text(
                f"The object has {layout.frames} frames; the first was read.",
                f"对象含 {layout.frames} 帧，仅读取第一帧。",
            )
        )
    return remarks
