"""A pre-read as JSON: the one mapping, for the command line and for HTTP."""

import json
from dataclasses import fields
from typing import Any

from models.findings import Code, Finding, ImageQuality, PreRead, Reason, Region, Text
from models.radiograph import RadiographFacts

Answer = dict[str, Any]
"""A JSON object; `serving/answer.schema.json` says what it holds."""

NOTICE = Text(
    "Decision support for professionals; not a cleared medical device. Not for primary diagnosis: "
    "a qualified person must read the image.",
    "仅供专业人员辅助决策；未经医疗器械注册审批。不得作为诊断依据，须由具备资质的人员阅片。",
)
"""Goes with every answer."""


_REGION = tuple(each.name for each in fields(Region))
_FACTS = tuple(
    each.name
    for each in fields(RadiographFacts)
    # They are among the image's quality.
    if each.name not in ("rows", "columns")
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def answer_of(pre_read: PreRead, *, source: str, intended_use: Text) -> Answer:
    """Return the answer for `pre_read` of the input that the sender calls `source`."""
    return {
        "input": source,
        "model": pre_read.model.name,
        "version": pre_read.model.version,
        "digest": pre_read.model.digest,
        "verdict": pre_read.verdict.value,
        "reasons": [reason.message.en for reason in pre_read.reasons],
        "reason_details": [_reason(reason) for reason in pre_read.reasons],
        "findings": [_finding(finding) for finding in pre_read.findings],
        "facts": _facts(pre_read.facts) if pre_read.facts else None,
        "image_quality": _quality(pre_read.quality) if pre_read.quality else None,
        "out_of_distribution_score": _rounded(pre_read.ood_score),
        "timings_ms": {stage: round(ms, 3) for stage, ms in pre_read.timings_ms.items()},
        "intended_use": _text(intended_use),
        "notice": _text(NOTICE),
    }


def write_json(value: object) -> str:
    """Return `value` as one line of JSON, in which no number is NaN or infinite."""
    return _ENCODER.encode(value)


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _rounded(number: float | None) -> float | None:
    """Return `number` with six decimals; JSON has no word for one that is not finite."""
    if number is None or number - number != 0.0:
        return None
    return round(number, 6)


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "rule": reason.rule,
        "found": reason.found,
        "expected": reason.expected,
        "message": _text(reason.message),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "label": finding.label,
        "name": _text(finding.name),
        "codes": [_code(code) for code in finding.codes],
        "probability": _rounded(finding.probability),
        "operating_point": _rounded(finding.operating_point),
        "decision": finding.decision.value,
        "conformal_set": list(finding.conformal_set),
        "conformal_coverage": _rounded(finding.conformal_coverage),
        "regions": [_region(region) for region in finding.regions],
    }


def _code(code: Code) -> dict[str, str]:
    return {"system": code.system, "code": code.value, "display": code.display}


def _region(region: Region) -> dict[str, Any]:
    told = {name: getattr(region, name) for name in _REGION}
    told["score"] = _rounded(region.score)
    return told


def _facts(facts: RadiographFacts) -> dict[str, Any]:
    told = {name: getattr(facts, name) for name in _FACTS}
    told["age_years"] = None if facts.age_years is None else round(facts.age_years, 2)
    told["age_source"] = facts.age_source.value if facts.age_source else None
    told["remarks"] = [_text(remark) for remark in facts.remarks]
    return told


def _quality(quality: ImageQuality) -> dict[str, Any]:
    return {
        "rows": quality.rows,
        "columns": quality.columns,
        "dynamic_range": _rounded(quality.dynamic_range),
        "clipped_fraction": _rounded(quality.clipped_fraction),
        "sharpness": _rounded(quality.sharpness),
        "remarks": [_text(remark) for remark in quality.remarks],
    }
