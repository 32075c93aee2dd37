"""An assessment as JSON: the one mapping, for the command line and for HTTP."""

from typing import Any

from models.findings import Text
from models.risk.assessment import NOTICE, Assessment, InputUsed
from models.risk.contributions import Contribution
from models.risk.input_kinds import Kind
from models.risk.inputs import INPUTS
from models.risk.levers import WhatIf
from models.risk.recalibration import Recalibration
from models.risk.refusals import Refusal
from models.risk.score import Score

Answer = dict[str, Any]


def answer_of(assessment: Assessment) -> Answer:
    """Return the answer for one assessment; no number in it is NaN or infinite."""
    score = assessment.score
    return {
        "score": score.id,
        "version": score.version,
        "title": _text(score.title),
        "status": assessment.status.word,
        "value": None if assessment.value is None else _rounded(assessment.value),
        "shown": _text(assessment.shown),
        "summary": _text(assessment.summary),
        "unit": score.unit,
        "horizon_years": assessment.horizon_years,
        "outcome": _text(score.outcome),
        "category": _category(assessment),
        "near_edge": _maybe(assessment.near_edge),
        "stages": [
            {"name": stage.name, "label": _text(stage.label), "stage": stage.stage}
            for stage in assessment.stages
        ],
        "alerts": [_text(alert) for alert in assessment.alerts],
        "remarks": [_text(remark) for remark in assessment.remarks],
        "refusals": [_refusal(refusal) for refusal in assessment.refusals],
        "inputs": [_input(used) for used in assessment.inputs],
        "contributions": [_contribution(score, one) for one in assessment.contributions],
        "what_if": [_what_if(one) for one in assessment.what_ifs],
        "assessed_on": assessment.assessed_on.isoformat(),
        "population": _text(score.population),
        "limits": _text(score.limits),
        "citation": score.citation,
        "doi": score.doi,
        "recalibration": _recalibration(score.recalibration),
        "notice": _text(NOTICE),
    }


def description_of(score: Score, *, enabled: bool) -> Answer:
    """Return what a score is, needs and is for."""
    return {
        "id": score.id,
        "version": score.version,
        "title": _text(score.title),
        "enabled": enabled,
        "off_because": _maybe(score.off_because),
        "measure": score.measure.value,
        "unit": score.unit,
        "horizon_years": score.horizon_years,
        "outcome": _text(score.outcome),
        "inputs": [
            {
                "name": need.name,
                "label": _text(INPUTS[need.name].label),
                "unit": INPUTS[need.name].unit,
                "required": need.required,
                "loinc": list(INPUTS[need.name].loinc),
                "choices": list(need.choices or INPUTS[need.name].choices)[:12],
            }
            for need in score.needs
        ],
        "categories": [{"name": band.name, "label": _text(band.label)} for band in score.bands],
        "guideline": _text(score.guideline),
        "population": _text(score.population),
        "limits": _text(score.limits),
        "citation": score.citation,
        "doi": score.doi,
        "terms": _text(score.terms),
        "recalibration": _recalibration(score.recalibration),
        "notice": _text(NOTICE),
    }


def _recalibration(made: Recalibration | None) -> Answer | None:
    if made is None:
        return None
    return {
        "published_score": made.of.id,
        "published_version": made.of.version,
        "version": made.version,
        "digest": made.digest,
        "intercept": _rounded(made.intercept),
        "slope": _rounded(made.slope),
        "horizon_years": made.horizon_years,
        "cohort": _text(made.cohort),
        "people": made.people,
        "events": made.events,
        "by": made.by,
        "made_on": made.made_on.isoformat(),
    }


def _refusal(refusal: Refusal) -> Answer:
    return {
        "input": refusal.input,
        "reason": refusal.status.word,
        "found": _maybe(refusal.found),
        "needed": _maybe(refusal.needed),
        "message": _text(refusal.told),
    }


def _contribution(score: Score, one: Contribution) -> Answer:
    return {
        "input": one.input,
        "scale": score.scale.value,
        "amount": _rounded(one.amount),
        "factor": None if one.factor is None else _rounded(one.factor),
        "reference": one.reference,
    }


def _what_if(one: WhatIf) -> Answer:
    return {
        "input": one.input,
        "target": one.target,
        "value": _rounded(one.value),
        "message": _text(one.told),
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _maybe(text: Text | None) -> dict[str, str] | None:
    return None if text is None else _text(text)


def _rounded(number: float) -> float:
    """Return `number` with six decimals: more than any equation here is good for."""
    return round(number, 6)


def _category(assessment: Assessment) -> Answer | None:
    band = assessment.category
    if band is None:
        return None
    return {
        "name": band.name,
        "label": _text(band.label),
        "high_risk": band.high_risk,
        "advice": _maybe(band.advice),
        "guideline": _text(assessment.score.guideline),
    }


def plain_value(used: InputUsed) -> float | bool | str:
    """Return the value of an input as JSON and tables have it."""
    entry = INPUTS[used.name]
    if entry.kind is Kind.FLAG:
        return bool(used.value)
    return entry.choices[int(used.value)] if entry.kind is Kind.CHOICE else _rounded(used.value)


def _input(used: InputUsed) -> Answer:
    entry = INPUTS[used.name]
    return {
        "name": used.name,
        "label": _text(used.label),
        "value": plain_value(used),
        "unit": entry.unit,
        "shown": _text(used.shown),
        "measured_on": None if used.measured_on is None else used.measured_on.isoformat(),
        "sent_as": used.sent_as,
        "derived": _maybe(used.derived),
        "assumed": used.assumed,
        "old": used.old,
    }
