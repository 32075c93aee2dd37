"""The data of one training: images, labels, split, acquisition. Computed once and then the same."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.acquisition import (
    ShiftedValidation,
    acquisition_propensity,
    measure_all,
    shifted_validation,
)
from datasets.duplicates import difference_hashes
from datasets.images import decoded
from datasets.lung_field import LAYOUT, LungFinder
from datasets.manifest import Manifest
from datasets.reading import read
from datasets.reviews.merging import reviewed
from datasets.splits import Part, Split, folds_of, split_by_group
from models.errors import DataError
from training.config import AcquisitionConfig, TrainConfig


@dataclass(frozen=True, slots=True)
class StudyData:
    """Everything known of the images before training."""

    manifest: Manifest
    pixels: NDArray[np.uint8]
    """Stored images, shape (samples, rows, columns[, 3]), mapped from the cache."""
    split: Split
    propensity: NDArray[np.float64]
    """Probability of a finding given the acquisition, shape (samples,); a half where it was not
    measured."""
    acquisition: AcquisitionConfig
    lungs: NDArray[np.uint8] | None = None
    """Where the lungs are, shape (samples, cells, cells); of a model that is kept to them."""
    folds: NDArray[np.intp] | None = None
    """Of members that are cross-fitted, the fold of each sample, -1 of the test part; the member of
    that number has not learnt from it. Fold 0 is the validation part."""
    reviews: Mapping[str, Any] | None = None
    """Which reviews are among the samples (`datasets.reviews.summary`); None without any."""

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether any finding is present, shape (samples,)."""
        return np.asarray(self.manifest.targets().any(axis=1))

    def indices(self, part: Part) -> NDArray[np.intp]:
        """Return the positions of the samples of `part`."""
        return self.split.indices(part)

    def judged(self, part: Part) -> NDArray[np.intp]:
        """Return the positions of the samples that stand for `part` when the model is judged.

        For the validation part of members that are cross-fitted, these are all that they learn
        from: each sample is judged by the member that has not.
        """
        if self.folds is None or part is not Part.VALIDATION:
            return self.indices(part)
        return np.flatnonzero(self.folds >= 0)

    def learnt_by(self, member: int) -> NDArray[np.intp]:
        """Return the positions of the samples that a member learns from."""
        if self.folds is None:
            return self.indices(Part.TRAINING)
        return np.flatnonzero((self.folds >= 0) & (self.folds != member))

    def held_from(self, member: int) -> NDArray[np.intp]:
        """Return the positions of the samples that a member is validated on."""
        if self.folds is None:
            return self.indices(Part.VALIDATION)
        return np.flatnonzero(self.folds == member)

    def shifted(self, chosen: NDArray[np.intp]) -> ShiftedValidation | None:
        """Return the shifted validation within `chosen`, where the acquisition was measured."""
        if not self.acquisition.measured:
            return None
        return shifted_validation(
            self.propensity[chosen],
            self.positive[chosen],
            self.acquisition.swapped_share,
            self.acquisition.weight_floor,
        )


@dataclass(frozen=True, slots=True)
class Divided:
    """The images of a training and which part each is of: all that judging a package takes."""

    manifest: Manifest
    pixels: NDArray[np.uint8]
    """As in `StudyData`."""
    hashes: NDArray[np.bool_]
    """Difference hashes, shape (samples, bits)."""
    split: Split
    reviews: Mapping[str, Any] | None = None
    """As in `StudyData`."""


def read_divided(
    config: TrainConfig, data: Path, cache: Path, reviews: Path | None = None
) -> Divided:
    """Read, decode and divide the images that `config` names; see `read_study_data`."""
    manifest = read(config.data.description, data)
    if manifest.labels != config.package.labels:
        raise DataError(
            f"The package is to find {list(config.package.labels)}, the data set has labels for "
            f"{list(manifest.labels)}; they must be the same, in this order."
        )
    if config.data.images is not None:
        manifest = fewer(manifest, config.data.images, config.seed)
    told: Mapping[str, Any] | None = None
    if reviews is not None:
        manifest, told = reviewed(manifest, reviews)
    pixels = decoded(manifest, config.data.cache_side_px, cache, config.input.channels)
    hashes = difference_hashes(_grey(pixels))
    split = split_by_group(
        manifest, config.split.fractions, config.split.seed, hashes, config.split.lent
    )
    return Divided(manifest, pixels, hashes, split, told)


def read_study_data(
    config: TrainConfig, data: Path, cache: Path, reviews: Path | None = None
) -> StudyData:
    """Read, decode, divide and measure the images that `config` names.

    Args:
        config: what to read and how to divide it.
        data: folder of all data sets.
        cache: folder for decoded images.
        reviews: file of reviews whose images, beside it, are added to the training part.

    Raises:
        DataError: the source is unknown or its data do not fit; see `datasets`.
    """
    divided = read_divided(config, data, cache, reviews)
    manifest, split, members = divided.manifest, divided.split, config.members
    folds = (
        folds_of(manifest, split, members.count, divided.hashes) if members.cross_fitted else None
    )
    propensity = _propensity(config.acquisition, manifest, divided.pixels)
    study = StudyData(
        manifest,
        divided.pixels,
        split,
        propensity,
        config.acquisition,
        folds=folds,
        reviews=divided.reviews,
    )
    return study if not config.lungs.field else replace(study, lungs=_lungs(study, config, cache))


def _lungs(study: StudyData, config: TrainConfig, cache: Path) -> NDArray[np.uint8]:
    """Return where the lungs of each image are, from a finder fitted to the training part alone."""
    split = study.split.digest_for(study.manifest).removeprefix("sha256:")
    key = f"{split[:16]}-{study.pixels.shape[1]}px-{config.seed}-{LAYOUT}"
    path = cache / f"{study.manifest.source}-lungs-{key}.npy"
    if not path.exists():
        chosen = study.indices(Part.TRAINING)
        finder = LungFinder.fit(
            np.asarray(study.pixels[chosen[~study.positive[chosen]]]), config.seed
        )
        part = path.with_suffix(".part.npy")
        np.save(part, finder(study.pixels))
        part.rename(path)
    found: NDArray[np.uint8] = np.load(path, allow_pickle=False)
    return found


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.ndim == 3 else luminance(pixels)


def luminance(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luminance of images of (n, rows, columns, 3), ITU-R BT.601 as Pillow has it."""
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in colours])


def _propensity(
    config: AcquisitionConfig, manifest: Manifest, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    if not config.measured:
        return np.full(len(manifest), 0.5)
    return acquisition_propensity(
        measure_all(_grey(pixels)),
        np.asarray(manifest.targets().any(axis=1)),
        manifest.groups(),
        config.folds,
        config.seed,
    )


def fewer(manifest: Manifest, images: int, seed: int) -> Manifest:
    """Return about `images` samples, whole groups only, drawn at random."""
    groups = manifest.groups()
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    chosen: list[NDArray[np.intp]] = []
    for group in order:
        if sum(len(each) for each in chosen) >= images:
            break
        chosen.append(np.flatnonzero(groups == group))
    return manifest.subset(np.sort(np.concatenate(chosen)))
