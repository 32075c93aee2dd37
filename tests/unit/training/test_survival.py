import numpy as np
import pytest

from models.errors import DataError
from training.tables.survival import staying_watched, within_horizon

EVENT = np.array([True, False, True, False, False, True])
YEARS = np.array([1.0, 2.0, 3.0, 4.0, 12.0, 11.0])


def test_share_still_watched_is_that_of_kaplan_and_meier() -> None:
    """By hand: losses at 2 (5 at risk), 4 (3 at risk) and 12 years (1 at risk)."""
    times, share = staying_watched(EVENT, YEARS)
    np.testing.assert_array_equal(times, [1, 2, 3, 4, 11, 12])
    expected = [1, 4 / 5, 4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3, 0]
    np.testing.assert_allclose(share, expected)


def test_who_was_lost_counts_nothing_and_the_others_make_up_for_them() -> None:
    truth, weights = within_horizon(EVENT, YEARS, 10.0)
    np.testing.assert_array_equal(truth, [True, False, True, False, False, False])
    np.testing.assert_allclose(weights, [1, 0, 5 / 4, 0, 15 / 8, 15 / 8])
    assert weights.sum() == pytest.approx(len(EVENT))


def test_nobody_followed_to_the_horizon_is_refused() -> None:
    with pytest.raises(DataError, match="Nobody was followed for 20 years"):
        within_horizon(EVENT, YEARS, 20.0)
