"""From a logit to a probability, a conformal set and a decision.

Fitting is the business of `training`; here the fitted numbers are applied.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError
from models.findings import Decision


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """Fitted on held-out data for one label; see `calibration.json` of a package."""

    slope: float
    """Platt scaling: probability = sigmoid(slope * logit + intercept); above 0.
    Platt, Advances in Large Margin Classifiers 1999;10:61."""
    intercept: float
    operating_point: float
    """Probability from which the finding counts as present, 0 to 1."""
    conformal_coverage: float
    """Stated share of each class whose true answer is in its conformal set."""
    present_from: float
    """Lowest probability at which `present` cannot be excluded: the (1 - coverage) quantile of
    the probabilities of images with the finding (Mondrian split conformal prediction: Vovk,
    Mach Learn 2013;92:349)."""
    absent_to: float
    """Highest probability at which `absent` cannot be excluded."""

    def __post_init__(self) -> None:
        numbers = (self.operating_point, self.present_from, self.absent_to)
        if not self.slope > 0 or not math.isfinite(self.intercept):
            raise PackageInvalidError(
                f"Calibration has slope {self.slope} and intercept {self.intercept}; "
                "expected a positive slope and a finite intercept."
            )
        if not all(0 <= n <= 1 for n in numbers) or not 0 < self.conformal_coverage < 1:
            raise PackageInvalidError(
                "Calibration has an operating point, conformal bound or coverage outside 0 to 1."
            )

    def probability(self, logit: float) -> float:
        """Return the calibrated probability of `logit`, 0 to 1."""
        return 0.5 * (1.0 + math.tanh(0.5 * (self.slope * logit + self.intercept)))

    def conformal_set(self, probability: float) -> tuple[str, ...]:
        """Return the answers that cannot be excluded: both, one or none."""
        answers = []
        if probability >= self.present_from:
            answers.append(Decision.PRESENT.value)
        if probability <= self.absent_to:
            answers.append(Decision.ABSENT.value)
        return tuple(answers)

    def decide(self, probability: float) -> Decision:
        """Return the decision at the operating point.

        The model abstains where the conformal set is not a single answer, or is the single answer
        on the other side of the operating point.
        """
        answer = Decision.PRESENT if probability >= self.operating_point else Decision.ABSENT
        certain = self.conformal_set(probability) == (answer.value,)
        return answer if certain else Decision.INDETERMINATE


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of all labels of a model, in the order of its logits."""

    labels: tuple[LabelCalibration, ...]
    exclusive: bool = False
    """Whether exactly one label is true of each input: the probabilities then sum to 1."""

    def __post_init__(self) -> None:
        if not self.labels or (self.exclusive and len(self.labels) < 2):
            raise PackageInvalidError(
                f"The calibration is of {len(self.labels)} labels; expected one at least, and two "
                "where they exclude each other."
            )

    def probabilities(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the calibrated probabilities of `logits`, both of shape (n, labels).

        Of labels that exclude each other it is the softmax of the scaled logits (temperature and
        bias scaling: Guo et al., ICML 2017, arXiv:1706.04599), of others each its own sigmoid.
        """
        scaled = np.stack(
            [
                each.slope * logits[:, at].astype(np.float64) + each.intercept
                for at, each in enumerate(self.labels)
            ],
            axis=1,
        )
        if not self.exclusive:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)))
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
