from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import PackageInvalidError
from models.reference import Reference


def parts(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "mean": np.array([1.0, 0.0, -1.0, 2.0], np.float32),
        "components": np.eye(4, dtype=np.float32)[:2],
        "variances": np.array([4.0, 1.0], np.float32),
        "residual_variance": 0.5,
        "threshold": 2.0,
    }
    return values | changes


def test_distance_with_all_components_is_mahalanobis() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 5))
    values = rng.normal(size=(400, 5)) @ mixing
    covariance = np.cov(values, rowvar=False)
    variances, directions = np.linalg.eigh(covariance)
    reference = Reference(
        mean=values.mean(axis=0).astype(np.float32),
        components=directions.T.astype(np.float32),
        variances=variances.astype(np.float32),
        # Nothing is outside five components of five: what rounding leaves there must not count.
        residual_variance=1e6,
        threshold=1.0,
    )
    asked = rng.normal(size=(20, 5)).astype(np.float32) * 3
    centred = asked - values.mean(axis=0)
    squared = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariance), centred)
    np.testing.assert_allclose(reference.distance(asked), np.sqrt(squared / 5), rtol=1e-3)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ((0, 0, 0, 0), 0.0),
        ((2, 0, 0, 0), np.sqrt((4 / 4) / 2)),
        ((0, 3, 0, 0), np.sqrt((9 / 1) / 2)),
        ((0, 0, 1, 1), np.sqrt(2 / 0.5)),
        ((2, 3, 1, 1), np.sqrt((1 + 9) / 2 + 2 / 0.5)),
    ],
)
def test_distance_adds_what_is_inside_and_outside_the_subspace(
    offset: tuple[float, ...], expected: float
) -> None:
    reference = Reference(**parts())
    embedding = (reference.mean + np.array(offset, np.float32))[np.newaxis]
    np.testing.assert_allclose(reference.distance(embedding), [expected], atol=1e-6)
    np.testing.assert_allclose(reference.score(embedding), [expected / 2.0], atol=1e-6)


def test_saved_and_loaded_reference_is_the_same(tmp_path: Path) -> None:
    reference = Reference(**parts())
    reference.save(tmp_path / "reference.npz")
    loaded = Reference.load(tmp_path / "reference.npz")
    for name in ("mean", "components", "variances"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(reference, name))
    assert loaded.residual_variance == reference.residual_variance
    assert loaded.threshold == reference.threshold


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": np.zeros(3, np.float32)},
        {"variances": np.ones(3, np.float32)},
        {"variances": np.array([1.0, 0.0], np.float32)},
        {"variances": np.array([1.0, np.nan], np.float32)},
        {"residual_variance": 0.0},
        {"threshold": -1.0},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PackageInvalidError, match=r"reference\.npz"):
        Reference(**parts(**changes))


class Marker:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_content_is_refused_and_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    planted: Any = np.array([Marker(ran)], dtype=object)
    np.savez(tmp_path / "reference.npz", **parts(mean=planted))
    with pytest.raises(PackageInvalidError, match="cannot be read"):
        Reference.load(tmp_path / "reference.npz")
    assert not ran.exists()


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    with pytest.raises(PackageInvalidError, match="cannot be read"):
        Reference.load(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(PackageInvalidError, match="cannot be read"):
        Reference.load(path)
    stored = parts()
    del stored["threshold"]
    np.savez(path, **stored)
    with pytest.raises(PackageInvalidError, match="cannot be read"):
        Reference.load(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "reference.npz"
    Reference(**parts()).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(PackageInvalidError, match="cannot be read"):
        Reference.load(path)
