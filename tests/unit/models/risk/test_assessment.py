"""What a clinician is told beside the number."""

from datetime import date, timedelta
from math import log

import numpy as np
import pytest

from models.risk.assessment import Assessment, assess, columns_of, read_person
from models.risk.registry import (
    SCORES,
    ScoreNotEnabledError,
    UnknownScoreError,
    all_usable,
    enabled_by,
    usable,
)
from models.risk.scales import on_scale
from models.risk.score import Status
from tests.unit.models.risk.risk_samples import person_of

TODAY = date(2026, 11, 25)


def assessed(score_id: str, **changes: object) -> Assessment:
    score = SCORES[score_id]
    told = {name: value for name, value in (person_of(score_id) | changes).items() if value != ""}
    return assess(score, read_person(told, score), today=TODAY)


def test_contributions_of_a_linear_predictor_are_exact() -> None:
    amounts = {
        one.input: one.amount
        for one in assessed("china-par", sex="female", diabetes=True).contributions
    }
    assert amounts["diabetes"] == pytest.approx(0.567, abs=1e-9)
    assert amounts["region_of_china"] == pytest.approx(0.544, abs=1e-9)
    assert amounts["waist_cm"] == pytest.approx(1.475 * log(88 / 80), abs=1e-9)
    assert amounts["total_cholesterol_mmol_l"] == pytest.approx(0.058 * log(5.6 / 4.5), abs=1e-9)


@pytest.mark.parametrize("score_id", sorted(set(SCORES) - {"bp-grade-cn", "bmi-class-cn"}))
def test_contributions_sum_to_the_distance_from_the_reference(score_id: str) -> None:
    score, assessment = SCORES[score_id], assessed(score_id)
    assert assessment.value is not None
    if not score.reference:
        return
    own = columns_of(read_person(person_of(score_id), score))
    used = {one.name: np.array([one.value]) for one in assessment.inputs}
    reference = {
        need.name: np.array(
            [
                score.reference[need.name]
                if need.name in score.reference and np.isfinite(own.get(need.name, [np.nan])[0])
                else used.get(need.name, np.array([np.nan]))[0]
            ]
        )
        for need in score.needs
    }
    for total in ("phq9_total", "gad7_total"):
        if total in reference:
            reference[total] = np.zeros(1)
    expected = on_scale(score.scale, np.array([assessment.value])) - on_scale(
        score.scale, score.kernel(reference)
    )
    assert sum(one.amount for one in assessment.contributions) == pytest.approx(
        expected[0], abs=1e-7
    )


def test_waist_is_no_lever_in_men_for_whom_the_equation_lowers_the_risk_by_it() -> None:
    levers = [one.input for one in assessed("china-par", waist_cm=105).what_ifs]
    assert "sbp_mmhg" in levers
    assert "waist_cm" not in levers
    women = [one.input for one in assessed("china-par", sex="female", waist_cm=105).what_ifs]
    assert "waist_cm" in women


def test_what_if_is_an_observation_and_lower() -> None:
    assessment = assessed("china-par", sbp_mmhg=160)
    assert assessment.value is not None
    for one in assessment.what_ifs:
        assert one.value < assessment.value
        assert "不代表干预后的预期效果" in one.told.zh
        assert "no promised effect" in one.told.en


def test_value_near_a_limit_is_marked() -> None:
    values = [(sbp, assessed("china-par", sbp_mmhg=float(sbp))) for sbp in np.arange(110, 150, 0.5)]
    marked = [found for _, found in values if found.near_edge is not None]
    assert marked
    for _, found in values:
        assert found.value is not None
        near = min(abs(found.value - edge) for edge in (5, 10)) <= 0.3
        assert near == (found.near_edge is not None)


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (19, Status.OUT_OF_POPULATION),
        (20, Status.EXTRAPOLATED),
        (34.9, Status.EXTRAPOLATED),
        (35, Status.OK),
        (74, Status.OK),
        (75, Status.EXTRAPOLATED),
        (121, Status.IMPLAUSIBLE),
    ],
)
def test_ages_around_the_population(age: float, status: Status) -> None:
    assert assessed("china-par", age_years=age).status is status


def test_established_disease_leaves_the_population() -> None:
    refused = assessed("china-par", established_ascvd=True)
    assert refused.status is Status.OUT_OF_POPULATION
    assert refused.refusals[0].input == "established_ascvd"


@pytest.mark.parametrize(
    ("acr", "stage"),
    [
        ({"value": 29, "unit": "mg/g"}, "A1"),
        ({"value": 30, "unit": "mg/g"}, "A2"),
        ({"value": 301, "unit": "mg/g"}, "A3"),
        (2.99, "A1"),
        (3.2, "A2"),
        ({"value": 30.1, "unit": "mg/mmol"}, "A3"),
    ],
)
def test_albuminuria_is_staged_in_the_unit_that_was_reported(acr: object, stage: str) -> None:
    assert assessed("kdigo", urine_acr_mg_mmol=acr).stages[1].stage == stage


def test_derived_old_and_converted_inputs_are_told() -> None:
    old = (TODAY - timedelta(days=400)).isoformat()
    assessment = assessed(
        "who-cvd-nonlab", bmi_kg_m2="", weight_kg={"value": 72, "unit": "kg", "date": old}
    )
    used = {one.name: one for one in assessment.inputs}
    assert used["bmi_kg_m2"].derived is not None
    assert used["weight_kg"].old
    assert any("BMI" in remark.zh and "计算" in remark.zh for remark in assessment.remarks)
    converted = assessed("who-cvd-lab", total_cholesterol_mmol_l={"value": 200, "unit": "mg/dL"})
    assert any(one.sent_as == "200 mg/dL" for one in converted.inputs)


def test_measurement_from_the_future_is_refused() -> None:
    sent = {"value": 130, "date": "2027-01-01"}
    assert assessed("china-par", sbp_mmhg=sent).refusals[0].input == "sbp_mmhg"


def test_item_9_is_told_whatever_the_total() -> None:
    items = {f"phq9_item_{n}": 0 for n in range(1, 10)} | {"phq9_item_9": 1}
    assessment = assessed("phq-9", **items)
    assert assessment.value == 1
    assert assessment.alerts


def test_contradicting_inputs_are_refused() -> None:
    assert assessed("china-par", hdl_cholesterol_mmol_l=6).status is Status.IMPLAUSIBLE
    assert assessed("bp-grade-cn", dbp_mmhg=150).status is Status.IMPLAUSIBLE


def test_men_need_what_the_equation_of_women_does_not_have() -> None:
    gone: dict[str, object] = {"residence": "", "family_history_ascvd": ""}
    men, women = assessed("china-par", **gone), assessed("china-par", sex="female", **gone)
    assert {one.input for one in men.refusals} == set(gone)
    assert women.value is not None


def test_scores_that_are_off_say_why_and_how() -> None:
    with pytest.raises(ScoreNotEnabledError, match="ZHUZHEN_RISK_ENABLED=prevent"):
        usable("prevent")
    assert usable("prevent", enabled_by(" prevent, kfre-8")) is SCORES["prevent"]
    with pytest.raises(UnknownScoreError):
        enabled_by("prevnt")
    assert len(list(all_usable())) == 17
