"""Fit the reference that tells whether an image is of the kind the model was made for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.reference import Reference

_RESIDUAL_FLOOR = 1e-6
"""Share of the total variance that the residual is held above, for embeddings of low rank."""


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """How the reference and its threshold are fitted."""

    components: int = 64
    """Principal directions that are kept."""
    training_images: int = 2000
    """Images of the training part that are embedded; more change the statistics little."""
    augmented_copies: int = 0
    """Augmented copies of them that are embedded too: acquisitions the model tolerates."""
    threshold_quantile: float = 0.995
    """Share of the validation part that lies within the threshold, before the margin."""
    threshold_margin: float = 1.0
    """The threshold is that quantile times this."""


def fit_reference(
    embeddings: NDArray[np.float32],
    validation: NDArray[np.float32],
    config: ReferenceConfig,
) -> Reference:
    """Fit to `embeddings`, shape (n, features), with a threshold from `validation`.

    Raises:
        DataError: there are fewer embeddings than components.
    """
    if len(embeddings) <= config.components:
        raise DataError(
            f"The reference keeps {config.components} components and has {len(embeddings)} "
            "embeddings; it needs more images or fewer components."
        )
    values = embeddings.astype(np.float64)
    mean = values.mean(axis=0)
    # Eigenvectors of the covariance, by descending variance.
    variances, directions = np.linalg.eigh(np.cov(values - mean, rowvar=False))
    variances, directions = variances[::-1], directions[:, ::-1]
    kept = min(config.components, int((variances > 0).sum()))
    total = float(variances.clip(0).sum())
    residual = max(total - float(variances[:kept].sum()), _RESIDUAL_FLOOR * total)
    reference = Reference(
        mean=mean.astype(np.float32),
        components=np.ascontiguousarray(directions[:, :kept].T, dtype=np.float32),
        variances=variances[:kept].astype(np.float32),
        residual_variance=residual,
        threshold=1.0,
    )
    limit = np.quantile(reference.distance(validation), config.threshold_quantile)
    return replace(reference, threshold=float(limit) * config.threshold_margin)


def refusals(
    reference: Reference, embeddings: Mapping[str, NDArray[np.float32]]
) -> dict[str, dict[str, float | int]]:
    """Return for each kind of input how many are refused, and their median score."""
    result: dict[str, dict[str, float | int]] = {}
    for kind, values in embeddings.items():
        score = reference.score(values)
        result[kind] = {
            "images": len(values),
            "refused_share": float((score > 1).mean()),
            "median_score": float(np.median(score)),
            "lowest_score": float(score.min()),
        }
    return result
