"""Answers as people see them in a terminal."""

from collections.abc import Sequence
from io import StringIO

import pytest
from rich.console import Console

from models.findings import (
    Code,
    Decision,
    Finding,
    ModelReference,
    PreRead,
    Reason,
    Text,
    Verdict,
)
from serving.answers import NOTICE, Answer, answer_of
from serving.cli.answers_table import footnotes_of, printable, table_of
from serving.finding_words import VERDICT_WORDS

MODEL = ModelReference("chest-xray-pneumonia", "1.0.0", "sha256:0123")
USE = Text("Frontal chest radiographs of children.", "儿童正位胸片。")
CHILDREN = "1 to under 6 years"
NOT_STATED = Reason("age_years", None, CHILDREN, Text("age is not stated", "未注明年龄"))
TOO_OLD = Reason("age_years", "64.0", CHILDREN, Text("age 64.0 years", "年龄 64.0 岁"))


def finding(decision: Decision, probability: float) -> Finding:
    return Finding(
        label="pneumonia",
        name=Text("Pneumonia", "肺炎"),
        codes=(Code("http://snomed.info/sct", "233604007", "Pneumonia"),),
        probability=probability,
        operating_point=0.41,
        decision=decision,
        conformal_set=("present",),
        conformal_coverage=0.95,
        regions=(),
    )


def answer(
    verdict: Verdict,
    *,
    source: str = "a.dcm",
    reasons: Sequence[Reason] = (),
    findings: Sequence[Finding] = (),
) -> Answer:
    pre_read = PreRead(
        model=MODEL,
        verdict=verdict,
        reasons=tuple(reasons),
        findings=tuple(findings),
        facts=None,
        quality=None,
        ood_score=None,
    )
    return answer_of(pre_read, source=source, intended_use=USE)


def shown(answers: Sequence[Answer], known: Sequence[str] | None = None) -> str:
    console = Console(width=200, file=StringIO())
    console.print(table_of(answers, known), footnotes_of(answers))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("decision", list(Decision))
def test_finding_is_told_with_probability_and_decision(decision: Decision) -> None:
    text = shown([answer(Verdict.ACCEPTED, findings=[finding(decision, 0.873)])])
    assert "Pneumonia 肺炎" in text
    assert decision.value in text
    assert "probability 0.87" in text
    assert "(counts as present from 0.41)" in text
    assert ("abstains: " in text) == (decision is Decision.INDETERMINATE)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_verdict_is_told_in_words(verdict: Verdict) -> None:
    text = shown([answer(verdict)])
    words = VERDICT_WORDS[verdict]
    assert words.en.split(": ")[-1].split()[0] in text
    assert words.zh.split("，")[0] in text


def test_refusal_gives_its_reason_and_no_finding() -> None:
    text = shown([answer(Verdict.OUTSIDE_INTENDED_USE, reasons=[TOO_OLD])])
    assert "- age 64.0 years" in text
    assert "年龄 64.0 岁" in text
    assert "none given" in text
    assert "not stated" not in text


def test_facts_that_are_not_stated_are_told_apart_from_reasons_against() -> None:
    text = shown([answer(Verdict.ACCEPTED, reasons=[NOT_STATED])])
    assert "not stated in the input, so not checked: age (1 to under 6 years)" in text
    assert "未能核对：年龄" in text


def test_what_an_input_is_stands_beside_its_answer() -> None:
    text = shown([answer(Verdict.ACCEPTED), answer(Verdict.UNREADABLE)], ["normal", "broken"])
    assert "normal" in text
    assert "broken" in text


def test_model_and_notice_are_told_once_in_both_languages() -> None:
    text = shown([answer(Verdict.ACCEPTED), answer(Verdict.UNREADABLE)])
    for sentence in ("chest-xray-pneumonia 1.0.0  sha256:0123", USE.en, USE.zh, NOTICE.zh):
        assert text.count(sentence) == 1


def test_a_name_cannot_steer_the_terminal_or_the_markup() -> None:
    assert printable("a\x1b[2Jb\n") == "a\ufffd[2Jb\ufffd"
    text = shown([answer(Verdict.ACCEPTED, source="[red]x[/red]\x1b[2J")])
    assert "[red]x[/red]\ufffd[2J" in text
    assert "\x1b" not in text
