"""What results say, and that they are the same however often they are built."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from serving.results import ResultKind, UnreferableSourceError, build_results, read_source
from serving.results.report import corners
from tests.dicom_samples import PYDICOM_DATA_FILES
from tests.result_samples import (
    CREATED,
    NAMES,
    NORMAL,
    PNEUMONIA,
    abstaining,
    dataset_of,
    read,
    results_on,
    with_header,
)

PNEUMONIA_CODE = hd.sr.CodedConcept("233604007", "SCT", "Pneumonia")
RG1 = (PYDICOM_DATA_FILES / "RG1_UNCR.dcm").read_bytes()


def content_of(report: pydicom.Dataset) -> Any:
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return content


def evaluations(report: pydicom.Dataset) -> list[tuple[str, str]]:
    """Every coded evaluation in the measurement groups: meaning of name and of value."""
    groups = content_of(report).get_image_measurement_groups()
    return [
        (evaluation.name.meaning, evaluation.value.meaning)
        for group in groups
        for evaluation in group.get_qualitative_evaluations()
        # Where it does not ask for a name, highdicom counts the algorithm's family too.
        if evaluation.name != codes.DCM.AlgorithmFamily
    ]


def sentences(report: pydicom.Dataset) -> list[str]:
    container = report.ContentSequence[-1]
    return [item.TextValue for item in container.ContentSequence]


def test_same_image_and_package_give_the_same_bytes() -> None:
    image = read(PNEUMONIA)
    once = build_results([image], created=CREATED)
    again = build_results([image], created=CREATED)

    assert [result.data for result in once] == [result.data for result in again]
    assert [result.kind for result in once] == list(ResultKind)


def test_another_package_or_source_gives_other_uids() -> None:
    image = read(PNEUMONIA)
    model = replace(image.pre_read.model, digest="sha256:" + "0" * 64)
    other_model = replace(
        image, reading=replace(image.reading, pre_read=replace(image.pre_read, model=model))
    )
    uids = {
        result.sop_instance_uid
        for one in (image, other_model, read(NORMAL))
        for result in build_results([one], created=CREATED)
    }
    assert len(uids) == 4 + 4 + 2
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)


def test_results_lie_in_the_patients_study_and_refer_to_the_image() -> None:
    image = read(PNEUMONIA)
    for kind, result in results_on(image).items():
        dataset = dataset_of(result)
        assert dataset.StudyInstanceUID == image.source.study_instance_uid
        assert dataset.PatientID == image.source.header.PatientID
        assert dataset.SeriesInstanceUID != image.source.header.SeriesInstanceUID
        assert image.source.sop_instance_uid in str(dataset), kind
        assert "NOT FOR PRIMARY DIAGNOSIS" in dataset.SeriesDescription


def test_a_list_of_series_tells_them_apart_and_what_they_are_not_for() -> None:
    described = {
        dataset_of(each).SeriesDescription for each in results_on(read(PNEUMONIA)).values()
    }
    assert len(described) == 4
    assert all("NOT FOR PRIMARY DIAGNOSIS" in each and len(each) <= 64 for each in described)


def test_report_says_finding_probability_model_and_regions() -> None:
    image = read(PNEUMONIA)
    [finding] = image.pre_read.findings
    report = dataset_of(results_on(image)[ResultKind.REPORT])
    content = content_of(report)

    [group] = content.get_image_measurement_groups(finding_type=PNEUMONIA_CODE)
    [certainty] = group.get_measurements(name=codes.DCM.CertaintyOfFinding)
    assert certainty.value == pytest.approx(100 * finding.probability, abs=0.01)
    assert certainty.unit == codes.UCUM.Percent
    assert ("Presence of the finding", "Present") in evaluations(report)
    assert group.source_images[0].referenced_sop_instance_uid == image.source.sop_instance_uid
    digest = [item.TextValue for item in group[0].ContentSequence if "TextValue" in item]
    assert f"package digest {image.pre_read.model.digest}" in digest
    planar = content.get_planar_roi_measurement_groups()
    assert [roi.roi.value.tolist() for roi in planar] == [
        corners(region).tolist() for region in finding.regions
    ]
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_refusal_is_reported_with_its_reason_and_no_finding() -> None:
    image = read(RG1)
    results = results_on(image)
    report = dataset_of(results[ResultKind.REPORT])

    assert set(results) == {ResultKind.REPORT, ResultKind.CAPTURE}
    assert [value for _, value in evaluations(report)] == [
        "Refused: outside the intended use",
        "No algorithms succeeded; without findings",
    ]
    told = "\n".join(sentences(report))
    assert "age 64.5 years" in told
    assert "年龄 64.5 岁" in told
    assert "Certainty of Finding" not in str(report)


def test_image_that_cannot_be_decoded_is_reported_too() -> None:
    image = read(PNEUMONIA[: len(PNEUMONIA) // 2])
    report = dataset_of(results_on(image)[ResultKind.REPORT])
    assert "Refused: the pixels cannot be read" in [value for _, value in evaluations(report)]


def test_abstention_is_coded_and_explained() -> None:
    report = dataset_of(results_on(abstaining(read(NORMAL)))[ResultKind.REPORT])

    values = [value for _, value in evaluations(report)]
    assert values[-2:] == ["Undetermined", "Present and absent are both possible"]
    assert any("模型不作判断" in sentence for sentence in sentences(report))


def test_segmentation_marks_the_regions_on_the_sources_pixels() -> None:
    image = read(PNEUMONIA)
    dataset = dataset_of(results_on(image)[ResultKind.SEGMENTATION])
    mask = dataset.pixel_array

    assert mask.shape == (image.source.header.Rows, image.source.header.Columns)
    rows, columns = np.nonzero(mask)
    regions = image.pre_read.findings[0].regions
    # Regions are drawn on a coarser grid, 40 cells a side.
    assert columns.min() >= min(region.column for region in regions) - mask.shape[1] / 40
    assert rows.min() >= min(region.row for region in regions) - mask.shape[0] / 40
    for region in regions:
        middle = mask[region.row : region.row + region.height, region.column :][:, : region.width]
        assert middle.mean() > 0.4


def test_segmentation_says_how_large_pixels_are_where_the_source_does() -> None:
    image = read(with_header(PNEUMONIA, ImagerPixelSpacing=[0.2, 0.2]))
    shared = dataset_of(results_on(image)[ResultKind.SEGMENTATION]).SharedFunctionalGroupsSequence
    assert list(shared[0].PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.2]


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_presentation_keeps_the_look_of_the_image(photometric: str, shape: str) -> None:
    image = read(PNEUMONIA)
    header = pydicom.Dataset()
    header.update(image.source.header)
    header.PhotometricInterpretation = photometric
    image = replace(image, source=replace(image.source, header=header))

    state = dataset_of(results_on(image)[ResultKind.PRESENTATION])

    assert state.PresentationLUTShape == shape
    text = state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    assert "not for primary diagnosis" in text
    assert "肺炎：存在" in text


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "by-transfer-syntax"])
def test_what_was_lost_by_compression_stays_lost(stated: bool) -> None:
    elements = {} if stated else {"LossyImageCompression": None, "LossyImageCompressionRatio": None}
    results = results_on(read(with_header(PNEUMONIA, **elements)))
    for kind in (ResultKind.SEGMENTATION, ResultKind.CAPTURE):
        result = dataset_of(results[kind])
        assert result.LossyImageCompression == "01"
        assert ("LossyImageCompressionRatio" in result) == stated
    dataset = pydicom.dcmread(BytesIO(PNEUMONIA))
    dataset.decompress()
    dataset.LossyImageCompression = "00"
    stream = BytesIO()
    dataset.save_as(stream)
    whole = results_on(read(stream.getvalue()))
    assert dataset_of(whole[ResultKind.SEGMENTATION]).LossyImageCompression == "00"
    assert "LossyImageCompression" not in dataset_of(whole[ResultKind.CAPTURE])


@pytest.mark.parametrize(
    ("elements", "laterality"),
    [
        ({}, None),
        ({"BodyPartExamined": None}, ""),
        ({"BodyPartExamined": "HAND"}, ""),
        ({"BodyPartExamined": "HAND", "Laterality": "L"}, "L"),
    ],
    ids=["unpaired", "not-stated", "paired", "paired-and-stated"],
)
def test_series_say_which_part_and_side_they_are_of(
    elements: dict[str, Any], laterality: str | None
) -> None:
    capture = dataset_of(results_on(read(with_header(PNEUMONIA, **elements)))[ResultKind.CAPTURE])
    assert capture.get("Laterality") == laterality
    part = elements.get("BodyPartExamined", "CHEST")
    assert capture.get("BodyPartExamined") == part


def test_revision_replaces_the_report_before() -> None:
    image = read(PNEUMONIA)
    before = results_on(image)[ResultKind.REPORT]
    after = results_on(image, revision=2, predecessor=dataset_of(before))[ResultKind.REPORT]

    assert after.sop_instance_uid != before.sop_instance_uid
    # What a PACS lists are series: the current report can be told there.
    assert after.series_instance_uid != before.series_instance_uid
    described = [dataset_of(each).SeriesDescription for each in (before, after)]
    assert ["report v2" in each for each in described] == [False, True]
    told = [sentences(dataset_of(each)) for each in (before, after)]
    assert any("A later version, if there is one, replaces it" in each for each in told[0])
    assert any("Version 2" in each and "replaces all earlier" in each for each in told[1])
    assert any("第 2 版" in each and "取代此前各版" in each for each in told[1])
    [study] = dataset_of(after).PredecessorDocumentsSequence
    [reference] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == before.sop_instance_uid


def test_one_study_and_package_at_a_time() -> None:
    with pytest.raises(ValueError, match="2 studies and 1 packages"):
        build_results([read(PNEUMONIA), read(NORMAL)], created=CREATED)
    with pytest.raises(ValueError, match="No image was given"):
        build_results([], created=CREATED)


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"StudyInstanceUID": None}, "StudyInstanceUID"),
        ({"SeriesInstanceUID": "not a uid"}, "SeriesInstanceUID"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, "SOPClassUID"),
    ],
)
def test_source_without_identity_is_refused_by_name(elements: dict[str, Any], named: str) -> None:
    with pytest.raises(UnreferableSourceError, match=named):
        read_source(with_header(PNEUMONIA, **elements))


def test_bytes_that_are_no_dicom_are_refused() -> None:
    with pytest.raises(UnreferableSourceError):
        read_source(b"\x89PNG not dicom at all")


@pytest.mark.parametrize("character_set", NAMES)
def test_chinese_name_survives(character_set: str) -> None:
    name = NAMES[character_set]
    sent = with_header(PNEUMONIA, SpecificCharacterSet=character_set, PatientName=name)
    for result in results_on(read(sent)).values():
        dataset = dataset_of(result)
        assert str(dataset.PatientName) == name
        expected = "GB18030" if character_set.startswith("GB") else "ISO_IR 192"
        assert dataset.SpecificCharacterSet == expected
        assert name.encode("gb18030" if expected == "GB18030" else "utf-8") in result.data
