"""NEWS2: the national early warning score of the Royal College of Physicians, 2017."""

import numpy as np
from numpy.typing import NDArray

from models.findings import Text
from models.risk.score import Band, Columns, Floats, Measure, Need, Score, points_above


def news2_items(columns: Columns) -> NDArray[np.float64]:
    """Return the points of the seven items, shape (7, people)."""
    # Charted in whole numbers, temperature in tenths; the limits are those of the chart.
    breaths, spo2, sbp, pulse = (
        np.rint(columns[name])
        for name in ("respiratory_rate_per_min", "spo2_percent", "sbp_mmhg", "heart_rate_per_min")
    )
    temperature = np.round(columns["temperature_c"], 1)
    oxygen = columns["supplemental_oxygen"]
    scale_1 = points_above(spo2, (91, 93, 95), (3, 2, 1, 0))
    too_much = np.where(oxygen == 1, points_above(spo2, (92, 94, 96), (0, 1, 2, 3)), 0)
    scale_2 = points_above(spo2, (83, 85, 87), (3, 2, 1, 0)) + too_much
    return np.stack(
        [
            points_above(breaths, (8, 11, 20, 24), (3, 1, 0, 2, 3)),
            np.where(columns["spo2_scale_2"] == 1, scale_2, scale_1),
            2 * oxygen,
            points_above(temperature, (35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2)),
            points_above(sbp, (90, 100, 110, 219), (3, 2, 1, 0, 3)),
            points_above(pulse, (40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
            3 * (1 - columns["alert"]),
        ]
    )


def news2(columns: Columns) -> Floats:
    """Return the points, 0 to 20, shape (people,)."""
    return np.asarray(news2_items(columns).sum(axis=0))


def _bands(values: Floats, columns: Columns) -> NDArray[np.intp]:
    single = (news2_items(columns) >= 3).any(axis=0)
    by_total = np.where(values >= 7, 3, np.where(values >= 5, 2, 0))
    return np.where(single & (by_total == 0), 1, by_total).astype(np.intp)


SCORE = Score(
    id="news2",
    version="2017/1",
    title=Text("NEWS2 early warning score", "国家早期预警评分2（NEWS2）"),
    measure=Measure.POINTS,
    unit="{score}",
    needs=(
        Need("respiratory_rate_per_min"),
        Need("spo2_percent"),
        Need("supplemental_oxygen"),
        Need("temperature_c"),
        Need("sbp_mmhg"),
        Need("heart_rate_per_min"),
        Need("alert"),
        # Scale 2 is a clinician's decision for one patient; unless it is told, scale 1 holds.
        Need("spo2_scale_2", default=0),
        Need("age_years", required=False, low=16),
        Need("pregnant", required=False, low=0, high=0),
    ),
    kernel=news2,
    bands=(
        Band("low", Text("low", "低危")),
        Band(
            "low_medium",
            Text("low to medium: one item scores 3", "低中危（单项3分）"),
            advice=Text("Urgent review by a clinician on the ward.", "需由病区医生紧急评估。"),
        ),
        Band(
            "medium",
            Text("medium", "中危"),
            5,
            high_risk=True,
            advice=Text("Urgent response.", "需紧急处理。"),
        ),
        Band(
            "high",
            Text("high", "高危"),
            7,
            high_risk=True,
            advice=Text("Emergency response.", "需立即抢救级响应。"),
        ),
    ),
    choose_bands=_bands,
    edges_of=lambda columns: (5.0, 7.0),
    guideline=Text("Royal College of Physicians 2017", "英国皇家内科医师学会（RCP）2017"),
    outcome=Text("acute deterioration", "急性病情恶化"),
    population=Text("acutely ill patients of 16 years and over", "16岁及以上急性病患者"),
    limits=Text(
        "Not in pregnancy or below 16 years. SpO2 scale 2 only where a clinician decided it.",
        "不适用于妊娠和16岁以下者。SpO2评分标准2仅在医生决定时使用。",
    ),
    formula="sum of points for seven physiological items",
    citation="Royal College of Physicians. National Early Warning Score (NEWS) 2. London, 2017",
    doi=None,
    terms=Text(
        "Free to use, with attribution and unmodified (RCP 2017).",
        "可免费使用，须注明来源且不得修改（RCP 2017）。",
    ),
    verified="clincalc 0.4.0 and vitalscore, 40 of 40 each",
    decimals=0,
    reference={
        "respiratory_rate_per_min": 16,
        "spo2_percent": 97,
        "supplemental_oxygen": 0,
        "temperature_c": 37,
        "sbp_mmhg": 120,
        "heart_rate_per_min": 75,
        "alert": 1,
    },
)
