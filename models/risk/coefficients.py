"""Tables of coefficients that are too long for a module; `data/README.md` names their sources."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATA = Path(__file__).with_name("data")


@cache
def _table(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_DATA / name).read_text(encoding="utf-8"))
    return loaded


@cache
def who_countries() -> tuple[str, ...]:
    """Return the countries of the WHO charts, ISO 3166-1 alpha-3, in order."""
    regions = _table("who_cvd_2019.json")["regions"]
    return tuple(sorted(country for region in regions for country in region["countries"]))


@cache
def who_recalibration(model: str, endpoint: str) -> NDArray[np.float64]:
    """Return constant and slope of `model` (lab, nonlab) for `endpoint` (chd, stroke).

    Shape (2 parameters, 2 sexes: male and female, countries as in `who_countries`).
    """
    table = np.empty((2, 2, len(who_countries())))
    for region in _table("who_cvd_2019.json")["regions"]:
        for country in region["countries"]:
            place = who_countries().index(country)
            for sex, name in enumerate(("male", "female")):
                table[:, sex, place] = region["recalibration"][model][endpoint][name]
    return table


def prevent_terms(model: str, years: int, sex: str, outcome: str) -> Mapping[str, float]:
    """Return the coefficients of one PREVENT model by term; terms not named are zero."""
    terms: dict[str, float] = _table("prevent_2023.json")["models"][f"{model}_{years}"][
        f"{sex}_{outcome}"
    ]
    return terms
