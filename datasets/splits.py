"""Divide a manifest into training, validation and test without dividing a patient.

Two things would let a test score flatter: images of one patient on both sides, and copies of one
picture under two patients' names. The first is excluded by construction; groups that share a
picture are merged before the division, which is recorded, and `check_leaks` looks again afterwards.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates import NEAR_BITS, near_pairs
from datasets.manifest import REVIEWED, Manifest
from models.errors import DataError


class Part(StrEnum):
    """What a sample may be used for."""

    TRAINING = "training"
    VALIDATION = "validation"
    """Early stopping, calibration, operating point, refusal threshold."""
    TEST = "test"
    """Nothing but the figures of the evaluation."""


@dataclass(frozen=True, slots=True)
class Split:
    """The part of each sample of one manifest, in its order."""

    manifest_digest: str
    parts: tuple[Part, ...]
    seed: int
    merged_groups: tuple[tuple[str, ...], ...]
    """Groups that share a picture and were therefore kept together."""

    def indices(self, part: Part) -> NDArray[np.intp]:
        """Return the positions of the samples of `part`, ascending."""
        return np.flatnonzero(np.array([each is part for each in self.parts]))

    def digest_for(self, manifest: Manifest) -> str:
        """Return `sha256:` and the digest of which sample is in which part.

        Raises:
            DataError: the split was made for another manifest.
        """
        self._require(manifest)
        rows = sorted(
            [sample.sample_id, part.value]
            for sample, part in zip(manifest, self.parts, strict=True)
        )
        return f"sha256:{hashlib.sha256(json.dumps(rows).encode()).hexdigest()}"

    def _require(self, manifest: Manifest) -> None:
        if self.manifest_digest != manifest.digest or len(self.parts) != len(manifest):
            raise DataError(
                f"The split was made for manifest {self.manifest_digest[:19]}, found "
                f"{manifest.digest[:19]}; make it again from this manifest."
            )


def split_by_group(
    manifest: Manifest,
    fractions: Mapping[Part, float],
    seed: int,
    hashes: NDArray[np.bool_] | None,
    lent: float = 0.0,
) -> Split:
    """Assign every group to a part so that each subtype comes near its `fractions`.

    Groups go one by one, larger first and otherwise in a seeded order, to the part that then lies
    closest to what it should hold; a greedy division that is exact to a few images. Samples
    that have a part already (reviewed cases: training) keep it and change nothing for the others.

    Args:
        manifest: what to divide.
        fractions: share of each part; all above 0, together 1.
        seed: decides between equal groups.
        hashes: difference hashes of the images, shape (samples, bits); None for a table.
        lent: share of the validation part that goes to training all the same, whole groups; the
            test part stays what it is without.

    Raises:
        DataError: the fractions do not fit, or a leak was found in the result.
    """
    if set(fractions) != set(Part) or not all(f > 0 for f in fractions.values()):
        raise DataError(f"A split needs a share above 0 for each of {[p.value for p in Part]}.")
    if abs(sum(fractions.values()) - 1) > 1e-9:
        raise DataError(f"The shares of a split sum to {sum(fractions.values()):g}, expected 1.")
    if not 0 <= lent < 1:
        raise DataError(f"The share of the validation part that is lent is {lent:g}; below 1.")
    free = np.array([not sample.part for sample in manifest])
    parts = [Part(sample.part) if sample.part else Part.TRAINING for sample in manifest]
    merged: tuple[tuple[str, ...], ...] = ()
    if free.any():
        # As if the others were not there, so that what was test before stays test.
        rest = manifest.subset(np.flatnonzero(free))
        unit_of, merged = _units(rest, None if hashes is None else hashes[free])
        assigned = _assign(unit_of, rest.subtypes(), fractions, seed)
        if lent:
            assigned = _with_lent(assigned, unit_of, rest.subtypes(), lent, seed)
        for at, part in zip(np.flatnonzero(free), assigned, strict=True):
            parts[int(at)] = part
    split = Split(manifest.digest, tuple(parts), seed, merged)
    check_leaks(manifest, split, hashes)
    return split


def folds_of(
    manifest: Manifest, split: Split, count: int, hashes: NDArray[np.bool_] | None
) -> NDArray[np.intp]:
    """Divide the training part into folds, beside the validation part, which is fold 0.

    Returns the fold of each sample, 0 to `count` - 1, and -1 for the test part. As in the split, no
    group is divided, what looks alike stays together, and each fold has its share of each subtype.

    Raises:
        DataError: there would be fewer than two folds, or a fold without a sample.
    """
    if count < 2:
        raise DataError(f"Found {count} folds; expected at least 2.")
    folds = np.full(len(manifest), -1)
    folds[split.indices(Part.VALIDATION)] = 0
    chosen = split.indices(Part.TRAINING)
    part = manifest.subset(chosen)
    units, _ = _units(part, None if hashes is None else hashes[chosen])
    shares = np.full(count - 1, 1 / (count - 1))
    folds[chosen] = 1 + _divided(units, part.subtypes(), shares, split.seed)
    empty = set(range(count)) - set(folds.tolist())
    if empty:
        raise DataError(
            f"{len(np.unique(units))} groups of the training part are too few for {count - 1} "
            "folds of it. Make fewer members."
        )
    return folds


def split_as_given(manifest: Manifest, hashes: NDArray[np.bool_] | None) -> Split:
    """Take the parts that the source itself assigns.

    Raises:
        DataError: a sample has none, or a group, file or picture is in two parts.
    """
    for sample in manifest:
        if not sample.part:
            raise DataError(
                f"{manifest.source}: {sample.sample_id} is in no part of the split; give every "
                f"sample one of {[part.value for part in Part]}, or none."
            )
    parts = tuple(Part(sample.part) for sample in manifest)
    split = Split(manifest.digest, parts, 0, ())
    check_leaks(manifest, split, hashes)
    return split


def check_leaks(manifest: Manifest, split: Split, hashes: NDArray[np.bool_] | None) -> None:
    """Make sure that no group, file or picture is in two parts.

    Raises:
        DataError: naming the first group, or the first two images.
    """
    split._require(manifest)
    home: dict[str, tuple[Part, str]] = {}
    for sample, part in zip(manifest, split.parts, strict=True):
        for key, what in ((f"group {sample.group}", "group"), (sample.sha256, "file")):
            first, name = home.setdefault(key, (part, sample.sample_id))
            if first is not part:
                raise DataError(
                    f"One {what} is in two parts of the split: {name} in {first}, "
                    f"{sample.sample_id} in {part}. "
                    + _to_do((name, sample.sample_id), "Keep them together.")
                )
    for left, right in _near(hashes):
        if split.parts[left] is not split.parts[right]:
            names = [manifest.samples[index].sample_id for index in (left, right)]
            raise DataError(
                f"Near-duplicate pictures are in two parts of the split: {names[0]} in "
                f"{split.parts[left]}, {names[1]} in {split.parts[right]} (hashes at most "
                f"{NEAR_BITS} bits apart). " + _to_do(names, "Merge their groups.")
            )


def _to_do(names: Sequence[str], otherwise: str) -> str:
    """Return what to do about two samples in two parts: a review is for training alone."""
    if any(name.startswith(REVIEWED) for name in names):
        return "What was reviewed is trained on, so take this review out of the file."
    return otherwise


def _units(
    manifest: Manifest, hashes: NDArray[np.bool_] | None
) -> tuple[NDArray[np.intp], tuple[tuple[str, ...], ...]]:
    """Return the number of each sample's unit (a group, or merged groups), and what was merged."""
    groups = manifest.groups()
    parent = {str(group): str(group) for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for left, right in _near(hashes) + _same_file(manifest):
        pair = sorted((root(str(groups[left])), root(str(groups[right]))))
        parent[pair[1]] = pair[0]
    members: dict[str, list[str]] = {}
    for group in sorted(parent):
        members.setdefault(root(group), []).append(group)
    number = {name: index for index, name in enumerate(sorted(members))}
    merged = tuple(tuple(names) for names in members.values() if len(names) > 1)
    return np.array([number[root(str(group))] for group in groups]), merged


def _near(hashes: NDArray[np.bool_] | None) -> list[tuple[int, int]]:
    return [] if hashes is None else near_pairs(hashes)


def _same_file(manifest: Manifest) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    pairs = []
    for index, sample in enumerate(manifest):
        other = first.setdefault(sample.sha256, index)
        if other != index:
            pairs.append((other, index))
    return pairs


def _with_lent(
    assigned: tuple[Part, ...],
    unit_of: NDArray[np.intp],
    subtypes: NDArray[np.str_],
    lent: float,
    seed: int,
) -> tuple[Part, ...]:
    """Return the parts with a share of the validation part divided off to training."""
    parts = list(assigned)
    own = np.flatnonzero([part is Part.VALIDATION for part in assigned])
    units = np.unique(unit_of[own], return_inverse=True)[1]
    shares = {Part.TRAINING: lent, Part.VALIDATION: 1 - lent, Part.TEST: 0.0}
    for at, part in zip(own, _assign(units, subtypes[own], shares, seed), strict=True):
        parts[int(at)] = part
    return tuple(parts)


def _assign(
    unit_of: NDArray[np.intp],
    subtypes: NDArray[np.str_],
    fractions: Mapping[Part, float],
    seed: int,
) -> tuple[Part, ...]:
    parts = list(Part)
    shares = np.array([fractions[part] for part in Part])
    return tuple(parts[int(at)] for at in _divided(unit_of, subtypes, shares, seed))


def _divided(
    unit_of: NDArray[np.intp],
    subtypes: NDArray[np.str_],
    shares: NDArray[np.float64],
    seed: int,
) -> NDArray[np.intp]:
    """Return for each sample to which of the `shares` it goes."""
    names, subtype_of = np.unique(subtypes, return_inverse=True)
    counts = np.zeros((unit_of.max() + 1, len(names)))
    np.add.at(counts, (unit_of, subtype_of), 1)
    wanted = shares[:, None] * counts.sum(axis=0)
    held = np.zeros_like(wanted)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen = np.zeros(len(counts), dtype=np.intp)
    for unit in order:
        # How full each part would be with this unit, for the subtypes that the unit has.
        fullness = ((held + counts[unit]) / np.maximum(wanted, 1e-9))[:, counts[unit] > 0]
        chosen[unit] = int(np.argmin(fullness.max(axis=1)))
        held[chosen[unit]] += counts[unit]
    divided: NDArray[np.intp] = chosen[unit_of]
    return divided
