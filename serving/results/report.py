"""The pre-reads of a study by one package as a structured report (PS3.16 TID 1500).

One document for all images that the package looked at, refused ones included: a refusal says so
and why, and holds no finding. For each image one measurement group states the gate's verdict; for
each finding one more holds its decision, probability and operating point, and for each region that
speaks for it a planar group with the rectangle (TID 1410, SCOORD). The sentences for people lie in
the container Qualitative Evaluations (TID 1500, row 10), each in English and in Chinese, as its
Language of Value says (TID 1201).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.findings import Decision, Finding, Region, Text, Verdict
from serving.answers import NOTICE
from serving.finding_words import VERDICT_WORDS, finding_sentence
from serving.results import terms
from serving.results.equipment import MANUFACTURER, SERIES_NUMBERS, Maker
from serving.results.identity import ResultKind, device_uid, result_uid, series_uid
from serving.results.read_image import ReadImage
from serving.results.source import SourceImage

_KIND = ResultKind.REPORT


def build_report(
    images: Sequence[ReadImage],
    maker: Maker,
    *,
    revision: int = 1,
    predecessor: Dataset | None = None,
) -> Dataset:
    """Return the report on `images`, which are of one study and were read by one package.

    `predecessor` is the report of the revision before, which this one replaces (PS3.3 C.17.2).
    """
    sources = [image.source.identity for image in images]
    first = images[0]
    content = _content(images, maker, revision)[0]
    # highdicom would copy every item, and build it anew, to find what of the evidence they refer
    # to, which takes longer than all the rest: here it is all of it. So they come in afterwards.
    items, content.ContentSequence = content.ContentSequence, []
    report = sr.Comprehensive3DSR(
        evidence=[image.source.header for image in images],
        content=content,
        series_instance_uid=series_uid(
            _KIND, maker.model, first.source.study_instance_uid, revision
        ),
        series_number=SERIES_NUMBERS[_KIND],
        sop_instance_uid=result_uid(_KIND, maker.model, sources, revision=revision),
        instance_number=revision,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.model_name,
        software_versions=maker.software_versions,
        device_serial_number=maker.serial_number,
        # Complete, but by no person: never final, never verified (PS3.3 C.17.2).
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if predecessor is None else [predecessor],
        coding_schemes=[terms.scheme_identification()],
        specific_character_set=first.source.character_set,
    )
    report.ContentSequence = items
    return report


def _content(images: Sequence[ReadImage], maker: Maker, revision: int) -> sr.MeasurementReport:
    groups: list[Any] = []
    for image in images:
        groups += _Image(image, maker, revision).groups()
    content = sr.MeasurementReport(
        observation_context=_observer(maker),
        procedure_reported=terms.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            terms.ENGLISH
        ),
    )
    content[0].ContentSequence.append(_evaluations(images, revision))
    return content


def _observer(maker: Maker) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(maker.model),
        name="Zhuzhen",
        manufacturer_name=MANUFACTURER,
        model_name=maker.model_name,
        serial_number=maker.serial_number,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
    )


class _Image:
    """The measurement groups on one image."""

    def __init__(self, image: ReadImage, maker: Maker, revision: int) -> None:
        self._image = image
        self._source = image.source
        self._maker = maker
        self._algorithm = _algorithm(maker)
        self._revision = revision

    def groups(self) -> list[Any]:
        """Return the groups, those with regions first: OHIF shows the image of the first one."""
        findings = self._image.pre_read.findings
        regions = [
            self._region_group(finding, number, region)
            for finding in findings
            for number, region in enumerate(finding.regions, 1)
        ]
        statements = [self._finding_group(finding) for finding in findings]
        return [*regions, self._verdict_group(), *statements]

    def _verdict_group(self) -> sr.MeasurementsAndQualitativeEvaluations:
        pre_read = self._image.pre_read
        if pre_read.verdict is not Verdict.ACCEPTED:
            summary = terms.NOT_SUCCEEDED
        elif any(finding.decision is not Decision.ABSENT for finding in pre_read.findings):
            summary = terms.WITH_FINDINGS
        else:
            summary = terms.WITHOUT_FINDINGS
        verdict = terms.VERDICTS[pre_read.verdict]
        return self._group(
            "pre-read",
            terms.PRE_READ,
            evaluations=[
                sr.QualitativeEvaluation(terms.GATE_VERDICT, verdict),
                sr.QualitativeEvaluation(terms.PROCESSING_SUMMARY, summary),
            ],
        )

    def _finding_group(self, finding: Finding) -> sr.MeasurementsAndQualitativeEvaluations:
        decision = terms.DECISIONS[finding.decision]
        evaluations = [sr.QualitativeEvaluation(terms.PRESENCE, decision)]
        if finding.decision is Decision.INDETERMINATE:
            evaluations.append(sr.QualitativeEvaluation(terms.ABSTENTION, _abstention(finding)))
        return self._group(
            finding.label,
            terms.concept_of(finding.codes, finding.label),
            evaluations=evaluations,
            measurements=[
                _percentage(terms.CERTAINTY_OF_FINDING, finding.probability),
                _percentage(terms.OPERATING_POINT, finding.operating_point),
                _percentage(terms.CONFORMAL_COVERAGE, finding.conformal_coverage),
            ],
        )

    def _group(
        self,
        name: str,
        finding_type: sr.CodedConcept,
        *,
        evaluations: list[sr.QualitativeEvaluation],
        measurements: list[sr.Measurement] | None = None,
    ) -> sr.MeasurementsAndQualitativeEvaluations:
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(name),
            finding_type=finding_type,
            algorithm_id=self._algorithm,
            measurements=measurements,
            qualitative_evaluations=evaluations,
            source_images=[
                sr.SourceImageForMeasurementGroup(*self._reference(), self._source.frames)
            ],
        )

    def _region_group(
        self, finding: Finding, number: int, region: Region
    ) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
        source_image = sr.SourceImageForRegion(*self._reference(), self._source.frames)
        outline = sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, corners(region), source_image)
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(f"{finding.label} region {number}"),
            referenced_region=outline,
            finding_type=terms.concept_of(finding.codes, finding.label),
            algorithm_id=self._algorithm,
            measurements=[
                sr.Measurement(terms.CLASS_ACTIVATION, round(region.score, 4), terms.UNITY)
            ],
        )

    def _reference(self) -> tuple[str, str]:
        return str(self._source.header.SOPClassUID), self._source.sop_instance_uid

    def _tracking(self, name: str) -> sr.TrackingIdentifier:
        model, source = self._maker.model, self._source.identity
        uid = result_uid(_KIND, model, (source,), role=name, revision=self._revision)
        return sr.TrackingIdentifier(uid, f"{model.name} {name}"[:64])


def corners(region: Region) -> NDArray[np.float64]:
    """Return the closed outline of `region`, shape (5, 2): column and row in pixels.

    0\\0 is the upper left corner of the upper left pixel (PS3.3 C.18.6.1.2).
    """
    left, top = region.column, region.row
    right, bottom = left + region.width, top + region.height
    outline = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return np.array(outline, np.float64)


def _percentage(name: sr.CodedConcept, share: float) -> sr.Measurement:
    return sr.Measurement(name, round(100 * share, 2), terms.PERCENT)


def _algorithm(maker: Maker) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=maker.model.name,
        version=maker.model.version,
        parameters=[f"package digest {maker.model.digest}"],
        family=terms.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _abstention(finding: Finding) -> sr.CodedConcept:
    possible = len(finding.conformal_set)
    return terms.ABSTENTIONS[("neither", "contrary", "both")[min(possible, 2)]]


def _evaluations(images: Sequence[ReadImage], revision: int) -> sr.ContainerContentItem:
    """Return the sentences for people: the limits of use, then what is said of each image."""
    container = sr.ContainerContentItem(
        name=terms.QUALITATIVE_EVALUATIONS, relationship_type=Relation.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence()
    for name, text in _statements(images, revision):
        for words, language in ((text.en, terms.ENGLISH), (text.zh, terms.CHINESE)):
            container.ContentSequence.append(_sentence(name, words, language))
    return container


def _statements(images: Sequence[ReadImage], revision: int) -> list[tuple[sr.CodedConcept, Text]]:
    told = [(terms.NOTICE, NOTICE), (terms.NOTICE, images[0].intended_use)]
    told.append((terms.COMMENT, _version(revision, len(images))))
    for number, image in enumerate(images, 1):
        pre_read = image.pre_read
        said = [(terms.GATE_VERDICT, VERDICT_WORDS[pre_read.verdict])]
        said += [(terms.COMMENT, finding_sentence(finding)) for finding in pre_read.findings]
        said += [(terms.REASON, reason.message) for reason in pre_read.reasons]
        which = _which(image.source, number, len(images))
        told += [
            (name, Text(f"{which.en}{text.en}", f"{which.zh}{text.zh}")) for name, text in said
        ]
    return told


def _version(revision: int, count: int) -> Text:
    """Return whether this report is the one that holds, as far as it can know."""
    images = f"{count} image{'s' * (count != 1)}"
    english = f"Version {revision} of the pre-read of this study, on {images}."
    chinese = f"本检查预读的第 {revision} 版，涵盖 {count} 幅图像"
    if revision > 1:
        return Text(f"{english} It replaces all earlier ones.", f"{chinese}，取代此前各版。")
    return Text(
        f"{english} A later version, if there is one, replaces it.",
        f"{chinese}；如有更新版本，以更新版本为准。",
    )


def _which(source: SourceImage, number: int, count: int) -> Text:
    """Return of which image a sentence is, by the numbers that viewers show; nothing of one alone.

    The sentences of all images stand together, behind the measurements.
    """
    if count == 1:
        return Text("", "")
    series, instance = (
        str(source.header.get(keyword) or "?") for keyword in ("SeriesNumber", "InstanceNumber")
    )
    return Text(
        f"Image {number} of {count} (series {series}, instance {instance}): ",
        f"第 {number} 幅，共 {count} 幅（序列 {series}，影像 {instance}）：",
    )


def _sentence(name: sr.CodedConcept, words: str, language: sr.CodedConcept) -> sr.TextContentItem:
    item = sr.TextContentItem(name=name, value=words, relationship_type=Relation.CONTAINS)
    item.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(
                name=terms.LANGUAGE_OF_VALUE,
                value=language,
                relationship_type=Relation.HAS_CONCEPT_MOD,
            )
        ]
    )
    return item
