"""From assessments to cards (https://cds-hooks.hl7.org/2.0/#cds-service-response).

A summary has fewer than 140 characters. A 10-year probability is never `critical`: only what needs
somebody now is (NEWS2 from 7, thoughts of self-harm in PHQ-9).
"""

import uuid
from typing import Any

from models.findings import Text
from models.risk.assessment import NOTICE, Assessment

_MOST_SUMMARY = 139
_CRITICAL_SCORES = ("news2",)
"""In their highest category."""
_ALERTS_NOW = ("phq-9",)
_MOST_CARDS = 8

OVERRIDE_SYSTEM = "urn:zhuzhen:override-reason"
OVERRIDE_REASONS = (
    ("already-treated", Text("Already treated", "已在治疗")),
    ("limited-life-expectancy", Text("Limited life expectancy", "预期寿命有限")),
    ("patient-declined", Text("The patient declined", "患者拒绝")),
    ("data-wrong", Text("The data are wrong", "数据有误")),
    ("not-applicable", Text("The score does not apply to this patient", "该评分不适用于此患者")),
)

Card = dict[str, Any]


def cards_of(assessments: list[Assessment], language: str) -> list[tuple[Card, Assessment]]:
    """Return a card for each assessment with a value; what needs attention comes first."""
    cards = [(_card(one, language), one) for one in assessments if one.value is not None]
    cards.sort(key=lambda pair: ("critical", "warning", "info").index(pair[0]["indicator"]))
    return cards[:_MOST_CARDS]


def missing_card(assessments: list[Assessment], language: str) -> Card:
    """Return one card that says what each score needs; there is no number in it."""
    refused = [one for one in assessments if one.value is None]
    lines = []
    for one in refused:
        reasons = " ".join(getattr(refusal.told, language) for refusal in one.refusals[:3])
        lines.append(f"- **{getattr(one.score.title, language)}**: {_plain(reasons)}")
    told = Text("No risk score could be computed", "暂无法计算风险评分")
    return {
        "uuid": str(uuid.uuid4()),
        "summary": getattr(told, language),
        "indicator": "info",
        "detail": "\n".join([*lines[:12], "", f"*{getattr(NOTICE, language)}*"]),
        "source": {"label": "Zhuzhen 助诊"},
    }


def _card(assessment: Assessment, language: str) -> Card:
    score = assessment.score
    source: dict[str, str] = {"label": f"{getattr(score.title, language)} ({score.version})"}
    if score.doi is not None:
        source["url"] = f"https://doi.org/{score.doi}"
    return {
        "uuid": str(uuid.uuid4()),
        "summary": _summary(assessment, language),
        "indicator": _indicator(assessment),
        "detail": _detail(assessment, language),
        "source": source,
        "overrideReasons": [
            {"code": code, "system": OVERRIDE_SYSTEM, "display": getattr(told, language)}
            for code, told in OVERRIDE_REASONS
        ],
    }


def _summary(assessment: Assessment, language: str) -> str:
    told: str = getattr(assessment.summary, language)
    if len(told) <= _MOST_SUMMARY:
        return told
    return told[: _MOST_SUMMARY - 1] + "…"


def _indicator(assessment: Assessment) -> str:
    band = assessment.category
    high = band is not None and band.high_risk
    now = assessment.score.id in _ALERTS_NOW and assessment.alerts
    if now or (assessment.score.id in _CRITICAL_SCORES and _is_last(assessment)):
        return "critical"
    return "warning" if high or assessment.alerts else "info"


def _is_last(assessment: Assessment) -> bool:
    return assessment.category is assessment.score.bands[-1]


def _detail(assessment: Assessment, language: str) -> str:
    """Return GitHub-flavoured Markdown: what was used, what to mind, what could be different."""
    score = assessment.score
    words = _WORDS[language]
    lines = [f"**{getattr(alert, language)}**" for alert in assessment.alerts]
    if assessment.near_edge is not None:
        lines.append(f"**{getattr(assessment.near_edge, language)}**")
    if assessment.category is not None and assessment.category.advice is not None:
        lines.append(f"{getattr(assessment.category.advice, language)}")
    lines += ["", f"| {words['input']} | {words['value']} | {words['date']} |", "|---|---|---|"]
    for used in assessment.inputs:
        label, when = getattr(used.label, language), used.measured_on or ""
        lines.append(f"| {label} | {_plain(getattr(used.shown, language))} | {when} |")
    lines.append("")
    lines += [f"- {getattr(remark, language)}" for remark in assessment.remarks]
    lines += [f"- {getattr(what_if.told, language)}" for what_if in assessment.what_ifs]
    lines += [
        "",
        f"{words['population']}: {getattr(score.population, language)}. "
        f"{getattr(score.limits, language)}",
        "",
        f"{getattr(score.guideline, language)}. {score.citation}.",
        "",
        f"*{getattr(NOTICE, language)}*",
    ]
    return "\n".join(lines)


_WORDS = {
    "en": {"input": "Input", "value": "Value", "date": "Date", "population": "Made for"},
    "zh": {"input": "项目", "value": "数值", "date": "日期", "population": "适用人群"},
}


def _plain(text: str) -> str:
    """Keep what was sent from being Markdown or HTML in somebody's record system."""
    return text.replace("|", "/").replace("<", "&lt;").replace("*", "\\*")
