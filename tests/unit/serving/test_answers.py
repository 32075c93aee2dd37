import json
import math
from dataclasses import replace

import jsonschema
import pytest

from models.findings import (
    Code,
    Decision,
    Finding,
    ImageQuality,
    ModelReference,
    PreRead,
    Reason,
    Region,
    Text,
    Verdict,
)
from models.radiograph import AgeSource, RadiographFacts
from serving.answers import answer_of, write_json
from serving.doors.recognizing import ANSWER_SCHEMA

USE = Text("Children's chests.", "儿童胸片。")
MODEL = ModelReference("chest-xray-pneumonia", "1.2.3", "sha256:" + "0" * 64)
FINDING = Finding(
    label="pneumonia",
    name=Text("Pneumonia", "肺炎"),
    codes=(Code("http://snomed.info/sct", "233604007", "Pneumonia"),),
    probability=0.87654321,
    operating_point=0.5,
    decision=Decision.PRESENT,
    conformal_set=("present",),
    conformal_coverage=0.95,
    regions=(Region(column=10, row=20, width=30, height=40, score=0.75),),
)
ACCEPTED = PreRead(
    model=MODEL,
    verdict=Verdict.ACCEPTED,
    reasons=(Reason("view_position", None, "PA / AP", Text("not stated", "未注明")),),
    findings=(FINDING,),
    facts=RadiographFacts(
        source_format="DICOM",
        modality="CR",
        age_years=3.14159,
        age_source=AgeSource.PATIENT_AGE,
        remarks=(Text("Pixel spacing is 0.", "像素间距为 0。"),),
    ),
    quality=ImageQuality(1841, 1955, 0.9, 0.01, 5.0, (Text("low contrast", "对比度低"),)),
    ood_score=0.5,
    timings_ms={"decode": 1.23456, "total": 2.0},
)
UNREADABLE = PreRead(
    model=MODEL,
    verdict=Verdict.UNREADABLE,
    reasons=(Reason("file_format", None, None, Text("broken", "损坏")),),
    findings=(),
    facts=None,
    quality=None,
    ood_score=None,
)


@pytest.mark.parametrize("pre_read", [ACCEPTED, UNREADABLE], ids=["accepted", "unreadable"])
def test_answers_are_what_the_schema_says(pre_read: PreRead) -> None:
    answer = answer_of(pre_read, source="child.dcm", intended_use=USE)

    jsonschema.validate(json.loads(write_json(answer)), ANSWER_SCHEMA)


def test_an_answer_says_which_model_found_what_and_where() -> None:
    answer = answer_of(ACCEPTED, source="child.dcm", intended_use=USE)

    assert (answer["input"], answer["model"], answer["version"], answer["digest"]) == (
        "child.dcm",
        "chest-xray-pneumonia",
        "1.2.3",
        MODEL.digest,
    )
    assert answer["reasons"] == ["not stated"]
    (finding,) = answer["findings"]
    assert (finding["label"], finding["decision"]) == ("pneumonia", "present")
    assert finding["probability"] == 0.876543
    assert finding["codes"][0]["code"] == "233604007"
    assert finding["regions"] == [
        {"column": 10, "row": 20, "width": 30, "height": 40, "score": 0.75}
    ]
    assert answer["facts"]["age_source"] == "PatientAge"
    assert "not a cleared medical device" in answer["notice"]["en"]
    assert answer["intended_use"] == {"en": USE.en, "zh": USE.zh}


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_json_has_no_word_for_is_null(score: float) -> None:
    answer = answer_of(
        replace(ACCEPTED, verdict=Verdict.OUT_OF_DISTRIBUTION, findings=(), ood_score=score),
        source="x",
        intended_use=USE,
    )

    assert json.loads(write_json(answer))["out_of_distribution_score"] is None


def test_json_is_one_line_and_keeps_chinese_and_line_breaks_of_names() -> None:
    line = write_json(answer_of(ACCEPTED, source="张\n三.dcm", intended_use=USE))

    assert "\n" not in line
    assert "肺炎" in line
    assert json.loads(line)["input"] == "张\n三.dcm"
