"""Shortcut suspects: acquisition facts that give the class away without anything being seen.

For each fact alone, the area under the ROC curve with which it tells a label's samples from the
others; for all facts together, that of a model that never saw the group (`datasets.acquisition`).
0.5 is chance; what is far from it a network may learn in place of the disease.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from datasets.acquisition import acquisition_propensity
from datasets.checks import Problem, Seen, Severity
from datasets.checks.words import fact_name
from models.errors import DataError
from models.findings import Text

SUSPECT_AUC = 0.65
"""A single fact from here on is told; random facts of 200 samples stay below 0.62 in 99 of 100."""
STRONG_AUC = 0.75
"""All facts together from here on: no plain validation score can be believed."""
_FOLDS = 5
_FEWEST = 20


def find_shortcuts(seen: Seen, labels: tuple[str, ...]) -> tuple[dict[str, Any], list[Problem]]:
    """Return by label what acquisition says of it, and the suspects."""
    facts = {**seen.facts, **_sites(seen), **_stated(seen)}
    if not facts or len(seen.samples) < _FEWEST:
        return {}, []
    told, problems = {}, []
    for label in labels:
        positive = np.array([label in sample.present for sample in seen.samples])
        found = _of_label(seen, facts, positive)
        if found is not None:
            told[label] = found
            problems += _suspect(seen, label, found)
    return told, problems


def _sites(seen: Seen) -> dict[str, NDArray[np.float64]]:
    """Return one fact for each site, where there are several."""
    sites = sorted({sample.site for sample in seen.samples} - {""})
    if len(sites) < 2:
        return {}
    return {
        f"site {site}": np.array([float(sample.site == site) for sample in seen.samples])
        for site in sites
    }


def _stated(seen: Seen) -> dict[str, NDArray[np.float64]]:
    """Return whether age and sex are known, and which: they may differ with the class."""
    ages = np.array([np.nan if s.age_years is None else s.age_years for s in seen.samples])
    return {"age_years": ages} if seen.facts and np.isfinite(ages).any() else {}


def _of_label(
    seen: Seen, facts: dict[str, NDArray[np.float64]], positive: NDArray[np.bool_]
) -> dict[str, Any] | None:
    usable = seen.readable
    if min(positive[usable].sum(), (~positive[usable]).sum()) < _FEWEST / 2:
        return None
    alone = {}
    for name, values in facts.items():
        known = usable & np.isfinite(values)
        if known.sum() >= _FEWEST and len(set(positive[known].tolist())) == 2:
            alone[name] = float(roc_auc_score(positive[known], values[known]))
    in_order = dict(sorted(alone.items(), key=lambda item: -abs(item[1] - 0.5)))
    table = np.stack([facts[name] for name in facts], axis=1)[usable]
    groups = np.array([sample.group for sample in seen.samples])[usable]
    try:
        propensity = acquisition_propensity(table, positive[usable], groups, _FOLDS, seed=0)
    except DataError:
        return {"facts": in_order, "together": None, "propensity": None}
    whole = np.full(len(seen.samples), np.nan)
    whole[usable] = propensity
    together = float(roc_auc_score(positive[usable], propensity))
    return {"facts": in_order, "together": together, "propensity": whole}


def _suspect(seen: Seen, label: str, found: dict[str, Any]) -> list[Problem]:
    suspects = {n: a for n, a in found["facts"].items() if abs(a - 0.5) >= SUSPECT_AUC - 0.5}
    together = found["together"]
    if not suspects and (together is None or together < STRONG_AUC):
        return []
    # Of few samples, what tells by itself may be lost in what all facts are learnt together.
    name, alone = next(iter(found["facts"].items()))
    by_itself = together is None or abs(alone - 0.5) > abs(together - 0.5)
    called = fact_name(name)
    if by_itself:
        en, zh = f"{called.en} alone: AUC {alone:.2f}", f"仅{called.zh}：AUC {alone:.2f}"
    else:
        en, zh = f"all facts together: AUC {together:.2f}", f"全部特征合计：AUC {together:.2f}"
    told = Text(
        f"Acquisition alone tells {label} from the rest ({en}). A network may learn this and "
        "not the disease (of stained tissue, colour can be the disease itself): "
        "validate on the shifted part, augment what differs, and look at the site.",
        f"仅凭采集特征即可区分 {label}（{zh}）。网络可能学到的是采集差异而非疾病"
        "（染色组织的颜色可能即为疾病表现）：请在偏移验证集上验证、对差异特征做增强，并核对来源。",
    )
    examples = tuple(_example(name, auc) for name, auc in list(suspects.items())[:8])
    count = len(suspects) or 1
    return [Problem("shortcut_suspects", Severity.WARNING, told, count, examples)]


def _example(fact: str, auc: float) -> str:
    name = fact_name(fact)
    return f"{name.en} {name.zh}: AUC {auc:.2f}" if name.en != name.zh else f"{fact}: AUC {auc:.2f}"
