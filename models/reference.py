"""How far an image is from those a model was made for.

The distance is Mahalanobis's in the network's embedding, split as in probabilistic PCA into a
part inside the principal subspace and the residual outside it (Tipping & Bishop, J R Stat Soc B
1999;61:611; for out-of-distribution detection: Lee et al., NeurIPS 2018, arXiv:1807.03888).
"""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError


@dataclass(frozen=True, slots=True)
class Reference:
    """What in-distribution embeddings look like; `reference.npz` of a package."""

    mean: NDArray[np.floating]
    """Shape (embedding,)."""
    components: NDArray[np.floating]
    """Orthonormal principal directions, shape (kept, embedding)."""
    variances: NDArray[np.floating]
    """Variance along each component, shape (kept,), all above 0."""
    residual_variance: float
    """Mean squared length outside the subspace, above 0."""
    threshold: float
    """Raw distance that maps to a score of 1."""

    def __post_init__(self) -> None:
        kept, embedding = self.components.shape
        if self.mean.shape != (embedding,) or self.variances.shape != (kept,):
            raise PackageInvalidError(
                f"reference.npz: components {self.components.shape} do not fit mean "
                f"{self.mean.shape} and variances {self.variances.shape}."
            )
        above = (*self.variances, self.residual_variance, self.threshold)
        if not all(value > 0 for value in above):
            raise PackageInvalidError("reference.npz: variances and threshold must be above 0.")

    def distance(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw distance of each row of `embeddings`, shape (n, embedding) -> (n,)."""
        centred = embeddings.astype(np.float64) - self.mean
        inside = centred @ self.components.T
        residual = np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 0.0)
        within = (inside**2 / self.variances).sum(axis=1) / len(self.variances)
        distance: NDArray[np.float64] = np.sqrt(within + residual / self.residual_variance)
        return distance

    def score(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the distance of each row in units of the threshold: above 1 is refused."""
        return self.distance(embeddings) / self.threshold

    def position(self, embeddings: NDArray[np.float32], count: int) -> NDArray[np.float64]:
        """Return where each row of `embeddings` lies along the first `count` principal directions.

        In standard deviations of the training data, shape (n, embedding) -> (n, count or fewer).
        """
        centred = embeddings.astype(np.float64) - self.mean
        inside = centred @ self.components[:count].T.astype(np.float64)
        position: NDArray[np.float64] = inside / np.sqrt(self.variances[:count])
        return position

    def save(self, path: Path) -> None:
        """Write to `path` as an .npz file."""
        np.savez_compressed(
            path,
            mean=self.mean,
            components=self.components.astype(np.float32),
            variances=self.variances,
            residual_variance=np.float64(self.residual_variance),
            threshold=np.float64(self.threshold),
        )

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Read from `path`; no pickled content is accepted."""
        try:
            # Opened here: NumPy leaves a file that turns out to be no archive open.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return cls(
                    mean=stored["mean"],
                    # In the precision of the distance, so that no reading has to convert them.
                    components=stored["components"].astype(np.float64),
                    variances=stored["variances"],
                    residual_variance=float(stored["residual_variance"]),
                    threshold=float(stored["threshold"]),
                )
        except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
            raise PackageInvalidError(f"{path.name} cannot be read as a reference.") from error
