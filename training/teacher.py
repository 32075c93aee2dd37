"""A linear model whose opinion softens the labels that a network learns.

Where a label follows a region that somebody drew, samples on its edge carry the wrong one, and a
network takes them at their word. A second model that has not learnt from a sample is not bound to
its label, and what it says of it is the better target where the two disagree (label refinery:
Bagherinezhad et al., arXiv:1805.02641; soft targets: Hinton et al., arXiv:1503.02531).

The teacher is a logistic regression on what the untrained network makes of an image. Each sample is
judged by one that was fitted to other groups, all of them among what the member learns from: of
samples that are held from a member, its teacher knows nothing either.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from models.errors import DataError
from models.preprocessing import InputSpec
from training.batches import Prepare
from training.networks import EfficientNetLite0, pretrained

_BATCH = 64


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """How much the teacher is believed, and what it looks at."""

    share: float = 0.0
    """Of a target that is the teacher's probability; the rest is the label. 0 asks no teacher."""
    side_px: int = 128
    """Rows and columns that it sees, whatever the network does."""
    blocks: tuple[int, ...] = (2, 4, 7, 10, 14)
    """Blocks (0-15) whose outputs it looks at, beside the last feature map."""
    penalty: float = 1e-3
    """Inverse strength of its ridge (`C` of scikit-learn)."""
    folds: int = 5
    """Of the groups; each is judged by a teacher that was fitted to the others."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise DataError(f"teacher.share is {self.share:g}; expected 0 to 1.")


@dataclass(frozen=True, slots=True)
class Taught:
    """What a member's teacher says of the samples that the member learns from."""

    share: float
    probabilities: NDArray[np.float32]
    """Of all samples of the manifest, shape (samples, labels); NaN where it was not asked."""

    def softened(self, targets: Tensor, chosen: NDArray[np.intp]) -> Tensor:
        """Return `targets` of the samples `chosen`, shape (n, labels), with the teacher's share."""
        told = torch.from_numpy(self.probabilities[chosen])
        return targets * (1 - self.share) + told * self.share


def looked_at(
    config: TeacherConfig, pixels: NDArray[np.uint8], spec: InputSpec
) -> NDArray[np.float32]:
    """Return what the untrained network makes of stored images, shape (n, features).

    These are the mean and the deviation of each channel over the image, averaged over the image and
    its mirror image.
    """
    network = pretrained(1, 0.0, 0.0, spec.channels).backbone.eval()
    prepare = Prepare(replace(spec, side_px=config.side_px))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            images = prepare(np.asarray(pixels[start : start + _BATCH]))
            views = [images, images.flip(3)]
            rows.append(torch.stack([_pooled(network, view, config) for view in views]).mean(0))
    found: NDArray[np.float32] = torch.cat(rows).numpy()
    return found


def teach(
    config: TeacherConfig,
    looks: NDArray[np.float32],
    targets: NDArray[np.int8],
    groups: NDArray[np.str_],
    chosen: NDArray[np.intp],
    *,
    exclusive: bool,
) -> Taught:
    """Ask teachers about the samples `chosen`, each about groups that it was not fitted to.

    Args:
        config: how.
        looks: of all samples of the manifest, from `looked_at`.
        targets: shape (samples, labels).
        groups: shape (samples,).
        chosen: positions of what the member learns from.
        exclusive: whether exactly one label is true of each sample.

    Raises:
        DataError: there are fewer groups than folds, or a teacher would know one class alone.
    """
    if len(np.unique(groups[chosen])) < config.folds:
        raise DataError(
            f"The teacher has {len(np.unique(groups[chosen]))} groups to learn from; expected at "
            f"least {config.folds}. Lower teacher.folds."
        )
    told = np.full(targets.shape, np.nan, np.float32)
    for fitted, asked in GroupKFold(config.folds).split(chosen, groups=groups[chosen]):
        known, new = chosen[fitted], chosen[asked]
        if exclusive:
            told[new] = _said(config, looks[known], targets[known].argmax(1), looks[new])
            continue
        for label in range(targets.shape[1]):
            told[new, label] = _said(config, looks[known], targets[known, label], looks[new])[:, 1]
    return Taught(config.share, told)


def _said(
    config: TeacherConfig,
    known: NDArray[np.float32],
    truth: NDArray[np.int8] | NDArray[np.intp],
    new: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the probability of each class, shape (n, classes)."""
    if len(np.unique(truth)) < 2:
        raise DataError("A teacher would know only one class. Lower teacher.folds.")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=config.penalty, max_iter=300))
    said: NDArray[np.float64] = model.fit(known, truth).predict_proba(new)
    return said


def _pooled(network: EfficientNetLite0, images: Tensor, config: TeacherConfig) -> Tensor:
    laid = images.contiguous(memory_format=torch.channels_last)
    last, tapped = network.with_taps(laid, config.blocks)
    return torch.cat(
        [part for each in (*tapped, last) for part in (each.mean((2, 3)), each.std((2, 3)))], 1
    )
