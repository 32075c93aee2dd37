"""A risk within a horizon from follow-up that ends at different times."""

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError

Floats = NDArray[np.float64]


def within_horizon(
    event: NDArray[np.bool_],
    followup_years: Floats,
    horizon_years: float,
    other_end: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.bool_], Floats]:
    """Return who has the event within the horizon, and how much each person counts.

    Args:
        event: whether the follow-up of each person ended with the event, shape (people,).
        followup_years: from the prediction to its end.
        horizon_years: within which the event is looked for.
        other_end: whether it ended with something after which the event cannot come, such as death
            of another cause: the event is then known not to have come.

    Who was lost before the horizon without the event counts nothing, and those of whom the outcome
    is known make up for them: inverse probability of censoring weighting (Vock et al., J Biomed
    Inform 2016;61:119), with the Kaplan-Meier estimate of staying under observation.

    Raises:
        DataError: nobody was followed to the horizon.
    """
    if np.isnan(followup_years).any():
        raise DataError("A risk within a horizon needs the years of follow-up of every person.")
    ended = event if other_end is None else event | other_end
    happened = event & (followup_years <= horizon_years)
    followed = followup_years >= horizon_years
    known = ended | followed
    if not followed.any():
        raise DataError(f"Nobody was followed for {horizon_years:g} years.")
    watched = staying_watched(ended, followup_years)
    until = np.minimum(followup_years, horizon_years)
    times, share = watched
    # The share just before `until`: who has the event on a day was still watched on it.
    at = np.searchsorted(times, until, side="left") - 1
    left = np.where(at >= 0, share[np.maximum(at, 0)], 1.0)
    return happened, np.where(known, 1.0 / np.maximum(left, 1e-6), 0.0)


def staying_watched(event: NDArray[np.bool_], followup_years: Floats) -> tuple[Floats, Floats]:
    """Return times and the Kaplan-Meier share of people not yet lost after each of them.

    Kaplan & Meier, J Am Stat Assoc 1958;53:457, with censoring as the event; at one time events
    come before losses.
    """
    times, at = np.unique(followup_years, return_inverse=True)
    lost = np.bincount(at, ~event, len(times))
    events = np.bincount(at, event, len(times))
    gone = np.concatenate([[0.0], np.cumsum(lost + events)[:-1]])
    at_risk = len(event) - gone - events
    share = np.cumprod(1 - np.divide(lost, at_risk, out=np.zeros_like(lost), where=at_risk > 0))
    return times, share
