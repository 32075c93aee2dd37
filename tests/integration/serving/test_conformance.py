"""The conformance statement is what the code does."""

from pathlib import Path

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from serving.cli.app import app
from serving.conformance import RESULT_CLASSES, statement
from serving.results import ResultKind, terms
from tests.result_samples import PNEUMONIA, abstaining, dataset_of, read, results_on

PAGE = Path(__file__).resolve().parents[3] / "docs" / "dicom-conformance.md"


def test_page_is_what_the_code_states() -> None:
    told = CliRunner().invoke(app, ["dicom", "conformance"]).output
    assert PAGE.read_text(encoding="utf-8") == told == statement(), (
        "renew the page: zhuzhen dicom conformance > docs/dicom-conformance.md"
    )


@pytest.mark.parametrize("kind", ResultKind)
def test_objects_are_of_the_class_and_in_the_series_that_are_stated(kind: ResultKind) -> None:
    dataset = dataset_of(results_on(read(PNEUMONIA))[kind])
    row = f"| {kind.value} | {dataset.SOPClassUID.name} | {dataset.SeriesNumber} |"
    assert dataset.SOPClassUID == RESULT_CLASSES[kind]
    assert row in statement()


def test_every_code_of_our_own_that_is_written_is_stated() -> None:
    report = dataset_of(results_on(abstaining(read(PNEUMONIA)))[ResultKind.REPORT])
    written: set[str] = set()

    def note(dataset: Dataset, element: DataElement) -> None:
        if element.keyword == "CodingSchemeDesignator" and element.value == terms.PRIVATE_SCHEME:
            written.add(dataset.get("CodeValue", ""))

    report.walk(note)
    assert {"GATE", "PRESENCE", "ABSTENTION", "NOTICE"} <= written
    assert written - {""} <= {term.value for term in terms.OWN_TERMS}
