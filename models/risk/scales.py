"""The scales on which equations add up: there, what each input adds to a score is exact."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Scale(StrEnum):
    """On which scale an equation adds up."""

    LOG_HAZARD = "log_hazard"
    """ln(-ln(1 - p)): proportional hazards."""
    LOG_ODDS = "log_odds"
    """ln(p / (1 - p)): logistic."""
    LOG = "log"
    """ln(value): products of powers."""
    VALUE = "value"
    """Points are added as they are."""


def on_scale(scale: Scale, values: Floats) -> Floats:
    """Return values of a score (probabilities in percent) on `scale`; infinite at its ends."""
    with np.errstate(all="ignore"):
        if scale is Scale.LOG_HAZARD:
            return np.asarray(np.log(-np.log1p(-values / 100)))
        if scale is Scale.LOG_ODDS:
            return np.asarray(np.log(values / (100 - values)))
        return np.log(values) if scale is Scale.LOG else values


def to_percent(scale: Scale, predictor: Floats) -> Floats:
    """Return the probabilities, in percent, of which `predictor` is the value on `scale`.

    Raises:
        ValueError: `scale` is not one of probabilities.
    """
    with np.errstate(all="ignore"):
        if scale is Scale.LOG_HAZARD:
            return -100 * np.expm1(-np.exp(predictor))
        if scale is Scale.LOG_ODDS:
            return 100 / (1 + np.exp(-predictor))
    raise ValueError(f"{scale} is not a scale of probabilities.")
