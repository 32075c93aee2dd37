from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import DataError
from training.reference_fit import ReferenceConfig, fit_reference, refusals

CONFIG = ReferenceConfig(components=4, threshold_quantile=0.98)


def embeddings(images: int, seed: int, features: int = 12) -> NDArray[np.float32]:
    """Four strong directions, the rest weak, away from the origin."""
    rng = np.random.default_rng(seed)
    spread = np.concatenate([[8.0, 6.0, 4.0, 3.0], np.full(features - 4, 0.5)])
    mixing = np.linalg.qr(np.random.default_rng(99).normal(size=(features, features)))[0]
    values = rng.normal(size=(images, features)) * spread @ mixing + 5
    return np.asarray(values, dtype=np.float32)


def test_strong_directions_are_kept() -> None:
    fitted = fit_reference(embeddings(5000, 0), embeddings(500, 1), CONFIG)
    np.testing.assert_allclose(np.sqrt(fitted.variances), [8, 6, 4, 3], rtol=0.05)
    np.testing.assert_allclose(fitted.components @ fitted.components.T, np.eye(4), atol=1e-5)
    assert fitted.residual_variance == pytest.approx(8 * 0.25, rel=0.05)
    np.testing.assert_allclose(fitted.mean, 5, atol=0.5)


@pytest.mark.parametrize(("quantile", "margin"), [(0.9, 1.0), (0.98, 1.0), (0.98, 1.2)])
def test_threshold_is_the_quantile_of_the_validation_with_its_margin(
    quantile: float, margin: float
) -> None:
    config = replace(CONFIG, threshold_quantile=quantile, threshold_margin=margin)
    validation = embeddings(1000, 1)
    fitted = fit_reference(embeddings(2000, 0), validation, config)
    within = fitted.score(validation) * margin <= 1
    assert within.mean() == pytest.approx(quantile, abs=0.002)


def test_other_images_of_the_kind_pass_and_far_ones_do_not() -> None:
    fitted = fit_reference(embeddings(2000, 0), embeddings(1000, 1), CONFIG)
    assert (fitted.score(embeddings(1000, 2)) > 1).mean() == pytest.approx(0.02, abs=0.015)
    # Along the weak directions a small step is far; along the strong ones it is not.
    far = embeddings(200, 3) + 4 * np.linalg.svd(fitted.components)[2][-1].astype(np.float32)
    near = embeddings(200, 3) + 4 * fitted.components[0]
    assert (fitted.score(far) > 1).mean() > 0.95
    assert (fitted.score(near) > 1).mean() < 0.1


def test_embeddings_of_low_rank_still_see_what_leaves_their_plane() -> None:
    flat = embeddings(500, 0)
    flat[:, 3:] = 0
    fitted = fit_reference(flat, flat, CONFIG)
    outside = flat[:1].copy()
    outside[0, 8] = 1.0
    assert fitted.score(outside)[0] > 10


def test_fewer_embeddings_than_components_are_refused() -> None:
    with pytest.raises(DataError, match="keeps 4 components and has 4 embeddings"):
        fit_reference(embeddings(4, 0), embeddings(10, 1), CONFIG)


def test_refusals_count_each_kind() -> None:
    own = embeddings(1000, 1)
    fitted = fit_reference(embeddings(2000, 0), own, CONFIG)
    found = refusals(fitted, {"own": own, "far": own[:30] + 100})
    assert found["own"]["images"] == 1000
    assert found["own"]["refused_share"] == pytest.approx(0.02)
    assert found["far"]["refused_share"] == 1.0
    score = fitted.score(own)
    assert found["own"]["median_score"] == pytest.approx(np.median(score))
    assert found["own"]["lowest_score"] == pytest.approx(score.min())
