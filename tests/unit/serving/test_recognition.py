"""The released model on real radiographs: what is read, what is refused, and why."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import store
from models.fact_words import FACT_NAMES
from models.findings import Decision, PreRead, Verdict
from serving.recognition import Reading, Recognizer
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES, radiograph_file, ramp

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
NORMAL = ("child-normal-1.dcm", "child-normal-2.dcm")
PNEUMONIA = ("child-pneumonia-1.dcm", "child-pneumonia-2.dcm")


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(store.load("chest-xray-pneumonia"))


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def said(reading: Reading) -> tuple[object, ...]:
    """Everything about a reading but the time it took."""
    told: PreRead = reading.pre_read
    return (told.model, told.verdict, told.reasons, told.findings, told.facts, told.quality)


@pytest.mark.parametrize("name", NORMAL + PNEUMONIA)
def test_a_childs_chest_is_read(recognizer: Recognizer, name: str) -> None:
    reading = recognizer.read((EXAMPLES / name).read_bytes())
    pre_read = reading.pre_read

    assert pre_read.verdict is Verdict.ACCEPTED
    assert pre_read.ood_score is not None
    assert 0 < pre_read.ood_score <= 1
    (finding,) = pre_read.findings
    assert finding.label == "pneumonia"
    assert {code.value for code in finding.codes} == {"233604007", "J18.9"}
    wrong = Decision.PRESENT if name in NORMAL else Decision.ABSENT
    assert finding.decision is not wrong
    assert (finding.decision is Decision.ABSENT) == (reading.heats == {})


@pytest.mark.parametrize("name", PNEUMONIA)
def test_evidence_lies_within_the_stored_image(recognizer: Recognizer, name: str) -> None:
    reading = recognizer.read((EXAMPLES / name).read_bytes())

    assert reading.radiograph is not None
    regions = reading.pre_read.findings[0].regions
    assert regions
    for region in regions:
        assert region.column + region.width <= reading.radiograph.columns
        assert region.row + region.height <= reading.radiograph.rows


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        pytest.param("RG1_UNCR.dcm", {"age_years"}, id="adult chest"),
        pytest.param("RG3_UNCR.dcm", {"body_part", "age_years"}, id="lower leg"),
        pytest.param("US1_UNCR.dcm", {"modality"}, id="ultrasound"),
    ],
)
def test_what_the_model_is_not_meant_for_is_refused(
    recognizer: Recognizer, name: str, rules: set[str]
) -> None:
    pre_read = recognizer.read((PYDICOM_DATA_FILES / name).read_bytes()).pre_read

    assert pre_read.verdict is Verdict.OUTSIDE_INTENDED_USE
    assert pre_read.findings == ()
    assert {reason.rule for reason in pre_read.reasons if reason.found is not None} == rules


def test_a_refused_age_says_where_it_was_taken_from(recognizer: Recognizer) -> None:
    pre_read = recognizer.read((PYDICOM_DATA_FILES / "RG1_UNCR.dcm").read_bytes()).pre_read

    (reason,) = [reason for reason in pre_read.reasons if reason.rule == "age_years"]
    assert "from the dates of birth and study" in reason.message.en


def test_pixels_without_facts_are_judged_by_themselves(recognizer: Recognizer) -> None:
    decoded = recognizer.read((EXAMPLES / PNEUMONIA[0]).read_bytes(), full_resolution=True)
    assert decoded.radiograph is not None

    pre_read = recognizer.read(png(decoded.radiograph.pixels)).pre_read

    assert pre_read.verdict is Verdict.ACCEPTED
    missing = {reason.rule for reason in pre_read.reasons}
    assert missing == {rule.fact for rule in recognizer.package.rules} - {"frames"}
    assert missing <= FACT_NAMES.keys()
    assert pre_read.findings[0].probability == pytest.approx(
        decoded.pre_read.findings[0].probability, abs=0.03
    )


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((500, 500), 128, np.uint8), id="uniform"),
        pytest.param(
            np.random.default_rng(3).integers(0, 256, (500, 500)).astype(np.uint8), id="noise"
        ),
        pytest.param((np.indices((512, 512)).sum(0) // 32 % 2 * 255).astype(np.uint8), id="chess"),
    ],
)
def test_pictures_of_nothing_are_out_of_distribution(
    recognizer: Recognizer, pixels: np.ndarray
) -> None:
    pre_read = recognizer.read(png(pixels)).pre_read

    assert pre_read.verdict is Verdict.OUT_OF_DISTRIBUTION
    assert pre_read.findings == ()


def test_a_header_that_fits_does_not_let_other_pixels_through(recognizer: Recognizer) -> None:
    pre_read = recognizer.read(radiograph_file(ramp(256, 256), PatientAge="003Y")).pre_read

    assert pre_read.facts is not None
    assert pre_read.facts.age_years == 3
    assert pre_read.verdict is Verdict.OUT_OF_DISTRIBUTION


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param((EXAMPLES / NORMAL[0]).read_bytes()[:20_000], id="truncated"),
        pytest.param((PYDICOM_FILES / "rtplan.dcm").read_bytes(), id="without pixels"),
    ],
)
def test_bytes_without_an_image_are_unreadable(recognizer: Recognizer, data: bytes) -> None:
    reading = recognizer.read(data)

    assert reading.pre_read.verdict is Verdict.UNREADABLE
    assert reading.radiograph is None
    assert len(reading.pre_read.reasons) == 1


@pytest.mark.parametrize(
    "path",
    [*(EXAMPLES / name for name in NORMAL + PNEUMONIA)],
    ids=lambda path: path.stem,
)
def test_reduced_decoding_agrees_with_full_decoding(recognizer: Recognizer, path: Path) -> None:
    data = path.read_bytes()
    (reduced,) = recognizer.read(data).pre_read.findings
    (full,) = recognizer.read(data, full_resolution=True).pre_read.findings

    # Grey levels differ by a fraction of one, as they would between two exposures.
    assert reduced.probability == pytest.approx(full.probability, abs=0.03)
    assert reduced.decision is full.decision


def test_many_threads_read_as_one_does(recognizer: Recognizer) -> None:
    files = [(EXAMPLES / name).read_bytes() for name in NORMAL + PNEUMONIA]
    alone = [said(recognizer.read(data)) for data in files]

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda data: said(recognizer.read(data)), files * 4))

    assert together == alone * 4


def test_time_is_told_by_stage(recognizer: Recognizer) -> None:
    timings = recognizer.read((EXAMPLES / NORMAL[0]).read_bytes()).pre_read.timings_ms

    assert list(timings)[:3] == ["decode", "prepare", "network"]
    stages = sum(ms for stage, ms in timings.items() if stage != "total")
    assert 0 < stages <= timings["total"]
