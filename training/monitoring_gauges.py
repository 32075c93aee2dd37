"""The figures of a monitoring report that Prometheus gets."""

from collections.abc import Sequence

from models.drift_gauges import Gauge
from training.drift import Drift
from training.second_opinions import SecondOpinions


def gauges_of(
    model: str,
    version: str,
    drifts: Sequence[Drift],
    others: SecondOpinions,
) -> list[Gauge]:
    """Return the gauges of one report.

    Rates of coded facts are told by the report alone: their codes come from what senders wrote.
    """
    gauges = []
    for drift in drifts:
        who = drift.institution
        gauges.append(Gauge("readings", model, version, who, "", float(drift.readings)))
        gauges.append(Gauge("drift_alarms", model, version, who, "", float(len(drift.alarms))))
        for measure in drift.measures:
            if measure.kind != "rate":
                effect = measure.effect
                gauges.append(Gauge("drift_effect", model, version, who, measure.name, effect))
    for each in others.shadow:
        if each.inputs:
            gauges.append(
                Gauge("shadow_agreement", model, each.challenger, "all", each.what, each.same)
            )
    for why, count in others.shadow_read.skipped.items():
        gauges.append(Gauge("shadow_skipped", model, version, "all", why, float(count)))
    for review in others.reviews:
        gauges.append(Gauge("review_agreement", model, version, "all", review.finding, review.rate))
    for pair in others.reviewed:
        for which, right in (
            (pair.champion, pair.champion_right),
            (pair.challenger, pair.challenger_right),
        ):
            gauges.append(
                Gauge("shadow_review_agreement", model, which, "all", pair.finding, right)
            )
    return gauges
