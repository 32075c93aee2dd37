import math
from typing import Any

import numpy as np
import pytest

from models.calibration import Calibration, LabelCalibration
from models.errors import PackageInvalidError
from models.findings import Decision

PRESENT, ABSENT = "present", "absent"


def calibration(**changes: float) -> LabelCalibration:
    values: dict[str, Any] = {
        "slope": 1.0,
        "intercept": 0.0,
        "operating_point": 0.5,
        "conformal_coverage": 0.9,
        "present_from": 0.4,
        "absent_to": 0.6,
    }
    return LabelCalibration(**values | changes)


@pytest.mark.parametrize("logit", [-8.0, -1.5, 0.0, 0.25, 3.0, 8.0])
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.2), (2.5, 0.7)])
def test_probability_is_platts_sigmoid(logit: float, slope: float, intercept: float) -> None:
    expected = 1 / (1 + math.exp(-(slope * logit + intercept)))
    found = calibration(slope=slope, intercept=intercept).probability(logit)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("logit", "expected"), [(-1e6, 0.0), (1e6, 1.0)])
def test_extreme_logits_do_not_overflow(logit: float, expected: float) -> None:
    assert calibration().probability(logit) == expected


# Overlapping bounds leave a middle where both answers stay possible; bounds with a gap leave one
# where neither does, and the model abstains in both.
OVERLAP = {"present_from": 0.4, "absent_to": 0.6}
GAP = {"present_from": 0.7, "absent_to": 0.3}
# Both bounds on one side of the operating point: a certain answer can contradict it.
BELOW = {"present_from": 0.2, "absent_to": 0.1}
ABOVE = {"present_from": 0.9, "absent_to": 0.8}


@pytest.mark.parametrize(
    ("bounds", "probability", "answers", "decision"),
    [
        (OVERLAP, 0.39, (ABSENT,), Decision.ABSENT),
        (OVERLAP, 0.40, (PRESENT, ABSENT), Decision.INDETERMINATE),
        (OVERLAP, 0.50, (PRESENT, ABSENT), Decision.INDETERMINATE),
        (OVERLAP, 0.60, (PRESENT, ABSENT), Decision.INDETERMINATE),
        (OVERLAP, 0.61, (PRESENT,), Decision.PRESENT),
        (GAP, 0.30, (ABSENT,), Decision.ABSENT),
        (GAP, 0.31, (), Decision.INDETERMINATE),
        (GAP, 0.50, (), Decision.INDETERMINATE),
        (GAP, 0.69, (), Decision.INDETERMINATE),
        (GAP, 0.70, (PRESENT,), Decision.PRESENT),
        (BELOW, 0.10, (ABSENT,), Decision.ABSENT),
        (BELOW, 0.30, (PRESENT,), Decision.INDETERMINATE),
        (BELOW, 0.50, (PRESENT,), Decision.PRESENT),
        (ABOVE, 0.49, (ABSENT,), Decision.ABSENT),
        (ABOVE, 0.70, (ABSENT,), Decision.INDETERMINATE),
        (ABOVE, 0.90, (PRESENT,), Decision.PRESENT),
    ],
)
def test_decision_follows_set_and_operating_point(
    bounds: dict[str, float], probability: float, answers: tuple[str, ...], decision: Decision
) -> None:
    fitted = calibration(**bounds)
    assert fitted.conformal_set(probability) == answers
    assert fitted.decide(probability) is decision


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"slope": 0.0}, "slope 0.0"),
        ({"slope": -1.0}, "slope -1.0"),
        ({"slope": math.nan}, "slope nan"),
        ({"intercept": math.inf}, "intercept inf"),
        ({"intercept": math.nan}, "intercept nan"),
        ({"operating_point": 1.01}, "outside 0 to 1"),
        ({"operating_point": -0.01}, "outside 0 to 1"),
        ({"operating_point": math.nan}, "outside 0 to 1"),
        ({"present_from": 2.0}, "outside 0 to 1"),
        ({"absent_to": -0.5}, "outside 0 to 1"),
        ({"conformal_coverage": 0.0}, "outside 0 to 1"),
        ({"conformal_coverage": 1.0}, "outside 0 to 1"),
    ],
)
def test_impossible_numbers_are_refused(changes: dict[str, float], named: str) -> None:
    with pytest.raises(PackageInvalidError, match=named):
        calibration(**changes)


def test_probabilities_of_classes_sum_to_one_and_keep_their_order() -> None:
    classes = Calibration((calibration(slope=0.5),) * 3, exclusive=True)
    logits = np.array([[4.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
    found = classes.probabilities(logits)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[0, 0] > found[0, 1] > found[0, 2]
    np.testing.assert_allclose(found[1], 1 / 3)


def test_probabilities_of_findings_are_each_its_own() -> None:
    one, two = calibration(slope=2.0, intercept=-1.0), calibration(slope=0.5, intercept=0.0)
    logits = np.array([[0.3, -1.2], [5.0, 400.0]])
    found = Calibration((one, two)).probabilities(logits)
    for row in range(2):
        expected = [one.probability(logits[row, 0]), two.probability(logits[row, 1])]
        np.testing.assert_allclose(found[row], expected)


def test_one_class_cannot_exclude_itself() -> None:
    with pytest.raises(PackageInvalidError, match="two where they exclude"):
        Calibration((calibration(),), exclusive=True)
