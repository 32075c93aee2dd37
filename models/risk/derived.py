"""Inputs that follow from others: said to be derived, and only where all their parts are known.

BMI from height and weight; eGFR from creatinine, age and sex by CKD-EPI 2021; the ratio of albumin
to creatinine from mg/g; totals of questionnaires from their items. What was given is never
replaced by what could be derived.
"""

from collections.abc import Callable, Mapping

import numpy as np

from models.findings import Text
from models.risk.ckd_epi import ckd_epi_2021
from models.risk.inputs import GAD7_ITEMS, INPUTS, MG_G_PER_MG_MMOL, PHQ9_ITEMS
from models.risk.score import Columns, Floats, Need


def _total(*items: str) -> Callable[[Columns], Floats]:
    return lambda columns: np.sum([columns[item] for item in items], axis=0)


_DERIVATIONS: Mapping[str, tuple[Callable[[Columns], Floats], Text]] = {
    "bmi_kg_m2": (
        lambda columns: columns["weight_kg"] / (columns["height_cm"] / 100) ** 2,
        Text("from height and weight", "由身高、体重计算"),
    ),
    "egfr_ml_min_1_73m2": (
        ckd_epi_2021,
        Text(
            "from creatinine, age and sex by CKD-EPI 2021",
            "由血清肌酐、年龄和性别按CKD-EPI 2021公式计算",
        ),
    ),
    "urine_acr_mg_mmol": (
        lambda columns: columns["urine_acr_mg_g"] / MG_G_PER_MG_MMOL,
        Text("from mg/g", "由mg/g换算"),
    ),
    "phq9_total": (_total(*PHQ9_ITEMS), Text("sum of the nine items", "九项得分之和")),
    "gad7_total": (_total(*GAD7_ITEMS), Text("sum of the seven items", "七项得分之和")),
}


def how_derived(name: str) -> Text:
    """Say from what an input is derived."""
    return _DERIVATIONS[name][1]


def complete(columns: Columns, needs: tuple[Need, ...]) -> Columns:
    """Return `columns` with inputs filled in where they are missing and all their parts are good.

    Parts outside their plausible range make nothing; they are refused as what they are.
    """
    completed = dict(columns)
    for need in needs:
        entry = INPUTS[need.name]
        if not entry.derived_from:
            continue
        column = completed[need.name]
        missing = np.isnan(column)
        for part in entry.derived_from:
            given = completed[part]
            # Comparing with NaN is false: what is missing makes nothing either.
            missing &= (given >= INPUTS[part].low) & (given <= INPUTS[part].high)
        if missing.any():
            with np.errstate(all="ignore"):
                derived = _DERIVATIONS[need.name][0](completed)
            completed[need.name] = np.where(missing, derived, column)
    return completed
