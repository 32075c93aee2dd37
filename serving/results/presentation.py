"""The regions and their words as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

A PACS lays it over the source image, whose pixels stay as they are; a reader can switch it off.
"""

from highdicom import pr
from highdicom.color import CIELabColor
from highdicom.content import PresentationLUTTransformation
from highdicom.enum import PresentationLUTShapeValues
from highdicom.pr import SoftcopyVOILUTTransformation
from pydicom.dataset import Dataset

from models.findings import Finding
from models.radiograph import Radiograph
from serving.finding_words import finding_sentence
from serving.results.equipment import MANUFACTURER, SERIES_NUMBERS, Maker, describe_image
from serving.results.identity import ResultKind, result_uid, series_uid
from serving.results.look import voi_of_range
from serving.results.read_image import ReadImage
from serving.results.report import corners

_KIND = ResultKind.PRESENTATION
_CYAN = CIELabColor(80.0, -40.0, -25.0)
_WARNING = "AI pre-read - not for primary diagnosis / AI 预读，不得作为诊断依据"


def build_presentation(image: ReadImage, maker: Maker) -> Dataset | None:
    """Return the presentation state of `image`, or None where there is no region to outline."""
    findings = [finding for finding in image.pre_read.findings if finding.regions]
    if not findings:
        return None
    source, voi = image.source, _voi(image)
    layer = pr.GraphicLayer(
        "PREREAD",
        order=1,
        description="AI pre-read; not for primary diagnosis",
        display_color=_CYAN,
    )
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[source.header],
        series_instance_uid=series_uid(_KIND, maker.model, source.study_instance_uid),
        series_number=SERIES_NUMBERS[_KIND],
        sop_instance_uid=result_uid(_KIND, maker.model, (source.identity,)),
        instance_number=source.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.model_name,
        software_versions=maker.software_versions,  # type: ignore[arg-type]
        device_serial_number=maker.serial_number,
        content_label="PREREAD",
        content_description="Regions of an AI pre-read; not for primary diagnosis",
        graphic_annotations=[_annotation(image, findings, layer)],
        graphic_layers=[layer],
        modality_lut_transformation=source.look.modality,
        voi_lut_transformations=[voi] if voi else None,
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape=_shape(source.header)
        ),
        specific_character_set=source.character_set,
    )
    describe_image(state, source.header)
    return state


def _voi(image: ReadImage) -> SoftcopyVOILUTTransformation | None:
    """Return what chooses the values that are shown: the header or, where it does not, the pixels.

    Without any, a viewer shows all that can be stored, of which a radiograph of 12 bits may fill a
    tenth: it would be black, though the model, and who looks at the picture, sees it well.
    """
    radiograph, voi = image.reading.radiograph, image.source.look.voi
    if voi is None and isinstance(radiograph, Radiograph) and radiograph.shown_range:
        return voi_of_range(*radiograph.shown_range)
    return voi


def _shape(header: Dataset) -> PresentationLUTShapeValues:
    """Return what keeps the image's look: the state replaces the inversion of MONOCHROME1.

    highdicom would show such an image as its negative (PS3.3 C.11.6, PS3.4 N.2.1.4).
    """
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        return PresentationLUTShapeValues.INVERSE
    return PresentationLUTShapeValues.IDENTITY


def _annotation(
    image: ReadImage, findings: list[Finding], layer: pr.GraphicLayer
) -> pr.GraphicAnnotation:
    outlines = [
        pr.GraphicObject(
            pr.GraphicTypeValues.POLYLINE, corners(region), pr.AnnotationUnitsValues.PIXEL
        )
        for finding in findings
        for region in finding.regions
    ]
    words = [finding_sentence(finding) for finding in findings]
    lines = [_WARNING, *(line for text in words for line in (text.en, text.zh))]
    text = pr.TextObject(
        "\r\n".join(lines),
        pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.02, 0.86, 0.98, 0.98),
        text_justification=pr.TextJustificationValues.LEFT,
    )
    return pr.GraphicAnnotation(
        referenced_images=[image.source.header],
        graphic_layer=layer,
        referenced_frame_number=image.source.frames,
        graphic_objects=outlines,
        text_objects=[text],
    )
