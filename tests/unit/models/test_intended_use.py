from typing import Any

import pytest

from models.errors import PackageInvalidError
from models.fact_words import AGE_SOURCES, FACT_NAMES
from models.intended_use import Allowed, Range, check, rules_from
from models.radiograph import AgeSource, RadiographFacts

AGE = Range("age_years", minimum=1, below=6, margin=1.0)
MODALITY = Allowed("modality", ("CR", "DX"))


def facts(**values: Any) -> RadiographFacts:
    return RadiographFacts(source_format="DICOM", **values)


@pytest.mark.parametrize(
    ("age_years", "broken"),
    [
        (-0.01, True),
        (0.0, False),
        (0.99, False),
        (1.0, False),
        (5.999, False),
        (6.0, False),
        (6.99, False),
        (7.0, True),
        (42.0, True),
    ],
)
def test_margin_widens_the_range_on_both_sides(age_years: float, broken: bool) -> None:
    assert bool(check((AGE,), facts(age_years=age_years)).broken) is broken


@pytest.mark.parametrize(
    ("age_years", "told"), [(0.5, True), (1.0, False), (5.9, False), (6.0, True), (7.0, False)]
)
def test_age_that_only_the_margin_allows_is_told(age_years: float, told: bool) -> None:
    found = check((AGE,), facts(age_years=age_years))
    assert bool(found.marginal) is told
    if told:
        assert "only by the tolerance of 1 year" in found.marginal[0].message.en
        assert "1 岁的容差" in found.marginal[0].message.zh


@pytest.mark.parametrize(
    ("age_years", "broken"), [(0.99, True), (1.0, False), (5.99, False), (6.0, True)]
)
def test_range_without_margin_is_half_open(age_years: float, broken: bool) -> None:
    (rule,) = rules_from([{"fact": "age_years", "minimum": 1, "below": 6}])
    assert bool(check((rule,), facts(age_years=age_years)).broken) is broken


@pytest.mark.parametrize(
    ("modality", "broken"), [("CR", False), ("DX", False), ("CT", True), ("cr", True), ("", True)]
)
def test_coded_fact_must_be_one_of_the_allowed(modality: str, broken: bool) -> None:
    assert bool(check((MODALITY,), facts(modality=modality)).broken) is broken


@pytest.mark.parametrize(("frames", "broken"), [(1, False), (2, True), (10, True)])
def test_numbers_can_be_allowed_by_their_text(frames: int, broken: bool) -> None:
    rules = rules_from([{"fact": "frames", "allowed": ["1"]}])
    assert bool(check(rules, facts(frames=frames)).broken) is broken


def test_all_broken_rules_are_told() -> None:
    found = check((MODALITY, AGE), facts(modality="US", age_years=42.0))
    assert [reason.rule for reason in found.broken] == ["modality", "age_years"]
    assert not found.unchecked


def test_broken_rule_says_what_was_found_and_expected_in_both_languages() -> None:
    (reason,) = check((MODALITY,), facts(modality="US")).broken
    allowed = "computed radiography (CR) or digital radiography (DX)"
    assert (reason.found, reason.expected) == ("US", allowed)
    assert reason.message.en == f"modality ultrasound (US); this model is for {allowed}"
    assert reason.message.zh == (
        "成像方式 超声（US）；本模型仅适用于：计算机X线摄影（CR）或数字X线摄影（DX）"
    )


@pytest.mark.parametrize("source", list(AgeSource))
def test_broken_age_names_where_it_was_taken_from(source: AgeSource) -> None:
    (reason,) = check((AGE,), facts(age_years=40.02, age_source=source)).broken
    assert reason.found == "40.0"
    words = AGE_SOURCES[source]
    assert f"age 40.0 years ({words.en})" in reason.message.en
    assert f"年龄 40.0 岁（{words.zh}）" in reason.message.zh
    assert "1 to under 6 years (tolerance 1 year)" in reason.message.en
    assert "1 至不满 6 岁（容差 1 岁）" in reason.message.zh


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Range("age_years", 1, 6, 0.25), "1 to under 6 years (tolerance 3 months)"),
        (Range("age_years", 25, 75, 3), "25 to under 75 years (tolerance 3 years)"),
        (Range("rows", 32, 129, 0), "32 to 128 pixels"),
        (Allowed("view_position", ("PA", "AP")), "postero-anterior (PA) or antero-posterior (AP)"),
        (Allowed("source_format", ("PNG", "JPEG", "TIFF")), "PNG, JPEG or TIFF"),
    ],
)
def test_what_a_rule_allows_is_told_in_plain_words(rule: Allowed | Range, expected: str) -> None:
    assert rule.expected.en == expected
    assert not set("<>=±") & set(rule.expected.en + rule.expected.zh)


def test_facts_that_are_not_stated_break_no_rule_and_are_told_as_unchecked() -> None:
    found = check((MODALITY, AGE), facts())
    assert not found.broken
    assert [reason.rule for reason in found.unchecked] == ["modality", "age_years"]
    for reason in found.unchecked:
        name = FACT_NAMES[reason.rule]
        assert reason.found is None
        assert reason.expected is not None
        assert reason.message.en.startswith(f"{name.en} is not stated in the input")
        assert reason.expected in reason.message.en
        assert reason.message.zh.startswith(f"输入未注明{name.zh}，未能核对")


def test_fact_that_no_input_states_is_refused() -> None:
    with pytest.raises(PackageInvalidError, match="'weight_kg'; known facts are modality"):
        rules_from([{"fact": "weight_kg", "allowed": ["3"]}])


@pytest.mark.parametrize("fact", sorted(FACT_NAMES))
def test_every_fact_a_rule_may_name_is_one_of_a_radiograph(fact: str) -> None:
    assert fact in RadiographFacts.__dataclass_fields__
