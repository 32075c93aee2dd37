"""How an image was acquired, as opposed to what it shows, and a validation that is shifted by it.

In `chest_xray_kermany` the classes were acquired differently: sharpness, contrast, black borders
and aspect alone tell them apart far better than chance. A network may learn that instead of the
lungs, looks perfect on a random validation part, and fails where the acquisition is another. So:

1. measure acquisition facts that hold nothing about the lungs' structure,
2. predict the class from them, cross-fitted by patient (the *acquisition propensity*),
3. validate on what the propensity gets wrong: with *matched weights*, under which the classes look
   as if acquired alike, and on the *swapped quarter*, the quarter of each class that looks most as
   if it were acquired as the other.

The weights are those of matching weights for observational studies (Li & Greene, Int J Biostat
2013;9:215), without their denominator, which is all but constant here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from models.errors import DataError

BORDER_PX = 12
"""Width of the frame whose grey level is measured, of an image of 224 px."""
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
FACTS = (
    "column_gradient",
    "row_gradient",
    "gradient_ratio",
    "fine_detail",
    "black_share",
    "white_share",
    "top_bottom_grey",
    "sides_grey",
    "sides_contrast",
    "top_bottom_contrast",
    *(f"grey_p{percentile}" for percentile in PERCENTILES),
    "grey_range",
)
"""Names of the acquisition facts, in order.

column_gradient, row_gradient: mean absolute difference of horizontal and vertical neighbours.
gradient_ratio: the first over the second; changes when the aspect ratio was not kept.
fine_detail: standard deviation of what a Gaussian of 1 px removes (sharpening, noise, resampling).
black_share, white_share: pixels below 8 and above 248 (collimation, borders, burnt-in markers).
top_bottom_*, sides_*: mean and standard deviation of grey level in the outer frame.
grey_p*, grey_range: percentiles of the grey levels, and the 95th minus the 5th (exposure, window).
"""


def measure(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the acquisition facts of `image`, shape (rows, columns) -> (len(FACTS),)."""
    grey = image.astype(np.float64)
    columns = np.abs(np.diff(grey, axis=1)).mean()
    rows = np.abs(np.diff(grey, axis=0)).mean()
    detail = (grey - ndimage.gaussian_filter(grey, 1.0)).std()
    caps = np.concatenate([grey[:BORDER_PX].ravel(), grey[-BORDER_PX:].ravel()])
    sides = np.concatenate([grey[:, :BORDER_PX].ravel(), grey[:, -BORDER_PX:].ravel()])
    levels = np.percentile(grey, PERCENTILES)
    return np.array(
        [
            columns,
            rows,
            columns / (rows + 1e-3),
            detail,
            (grey < 8).mean(),
            (grey > 248).mean(),
            caps.mean(),
            sides.mean(),
            sides.std(),
            caps.std(),
            *levels,
            levels[5] - levels[1],
        ]
    )


def measure_all(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the facts of each image, shape (n, rows, columns) -> (n, len(FACTS))."""
    return np.stack([measure(image) for image in pixels])


def acquisition_propensity(
    facts: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: NDArray[np.str_],
    folds: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the probability of `positive` given the facts, each from a model without its group.

    Raises:
        DataError: a class has fewer groups than `folds`.
    """
    for present in (True, False):
        found = len(set(groups[positive == present]))
        if found < folds:
            raise DataError(
                f"The acquisition propensity needs at least {folds} groups of each class; "
                f"{'positive' if present else 'negative'} has {found}."
            )
    model = HistGradientBoostingClassifier(max_depth=4, max_iter=150, random_state=seed)
    divided = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    # So few samples gain nothing by a second thread; where others work on the same processors, the
    # threads wait for each other thousands of times, minutes in place of a second.
    with threadpool_limits(1, user_api="openmp"):
        probabilities = cross_val_predict(
            model, facts, positive, groups=groups, cv=divided, method="predict_proba"
        )
    propensity: NDArray[np.float64] = probabilities[:, 1]
    return propensity


@dataclass(frozen=True, slots=True)
class ShiftedValidation:
    """Which samples count how much when the acquisition is to tell nothing about the class."""

    weights: NDArray[np.float64]
    """Matched weights, shape (samples,), `weight_floor` to 1."""
    swapped: NDArray[np.bool_]
    """The share of each class that looks most as if acquired as the other, shape (samples,)."""


def shifted_validation(
    propensity: NDArray[np.float64],
    positive: NDArray[np.bool_],
    swapped_share: float,
    weight_floor: float,
) -> ShiftedValidation:
    """Build the shifted validation from the acquisition propensity of each sample."""
    other = np.where(positive, 1 - propensity, propensity)
    swapped = np.zeros(len(positive), dtype=np.bool_)
    for present in (True, False):
        members = np.flatnonzero(positive == present)
        # Stable, so that equal propensities do not depend on the sorting algorithm.
        most_other = members[np.argsort(-other[members], kind="stable")]
        swapped[most_other[: int(swapped_share * len(members))]] = True
    return ShiftedValidation(np.clip(other, weight_floor, 1.0), swapped)
