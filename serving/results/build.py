"""From the readings of a study to the DICOM objects that tell of them."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from pydicom.dataset import Dataset

from models.quiet import quiet_decoders
from serving.faults import place_of
from serving.results.capture import build_capture
from serving.results.equipment import Maker, ResultObject, finish
from serving.results.identity import ResultKind
from serving.results.presentation import build_presentation
from serving.results.read_image import ReadImage
from serving.results.report import build_report
from serving.results.segmentation import build_segmentation

_LOG = logging.getLogger("zhuzhen.results")


def build_results(
    images: Sequence[ReadImage],
    *,
    created: datetime,
    revision: int = 1,
    predecessor: Dataset | None = None,
) -> tuple[ResultObject, ...]:
    """Return the results on `images` in the order in which they are to be delivered.

    The images are of one study and were read by one package. `created` is when they were read, in
    local time; it and the images decide every byte of the results. `revision` counts the pre-reads
    of the study from 1, and `predecessor` (its SOP class, instance, series and study UIDs are used)
    is the report that this one replaces.

    Raises:
        ValueError: the images are none, or of several studies or packages.
    """
    if not images:
        raise ValueError("No image was given: results tell of one image at least.")
    studies = {image.source.study_instance_uid for image in images}
    models = {image.pre_read.model for image in images}
    if len(studies) > 1 or len(models) > 1:
        raise ValueError(
            f"The images are of {len(studies)} studies and {len(models)} packages; build results "
            "for each study and package on its own."
        )
    maker = Maker(images[0].pre_read.model, created)
    with quiet_decoders():
        results = [result for image in images for result in _on_one_image(image, maker)]
        report = build_report(images, maker, revision=revision, predecessor=predecessor)
        return (*results, finish(ResultKind.REPORT, report, maker, images[0].source, revision))


def _on_one_image(image: ReadImage, maker: Maker) -> list[ResultObject]:
    built = ((kind, _built(kind, build, image, maker)) for kind, build in _KINDS)
    return [
        finish(kind, dataset, maker, image.source) for kind, dataset in built if dataset is not None
    ]


_Build = Callable[[ReadImage, Maker], Dataset | None]
_KINDS: tuple[tuple[ResultKind, _Build], ...] = (
    (ResultKind.SEGMENTATION, build_segmentation),
    (ResultKind.PRESENTATION, build_presentation),
    (ResultKind.CAPTURE, build_capture),
)


def _built(kind: ResultKind, build: _Build, image: ReadImage, maker: Maker) -> Dataset | None:
    """Return a result, None where there is none, or where the source does not allow one.

    The report says all of it: a study is not left unread because its images are of a class, or
    have a header, that one of the other forms cannot be made of.
    """
    try:
        return build(image, maker)
    except Exception as error:  # noqa: BLE001 - highdicom refuses sources in many ways
        name = image.source.header.SOPClassUID.name
        _LOG.warning("No %s was made of an image of %s: %s", kind.value, name, place_of(error))
        return None
