import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.duplicates import HASH_BITS
from datasets.manifest import Manifest, Sample
from datasets.splits import (
    Part,
    Split,
    check_leaks,
    folds_of,
    split_as_given,
    split_by_group,
)
from models.errors import DataError

FRACTIONS = {Part.TRAINING: 0.7, Part.VALIDATION: 0.15, Part.TEST: 0.15}
SUBTYPES = (("normal", 200), ("virus", 120), ("bacteria", 280))


def study(seed: int = 0) -> Manifest:
    """600 images; patients have 1 to 6 of them."""
    rng = np.random.default_rng(seed)
    samples: list[Sample] = []
    patient = itertools.count()
    for subtype, images in SUBTYPES:
        left = images
        while left:
            taken = min(left, int(rng.integers(1, 7)))
            group = f"patient-{next(patient)}"
            present = () if subtype == "normal" else ("pneumonia",)
            for _ in range(taken):
                number = len(samples)
                samples.append(Sample(f"{number}.png", group, present, subtype, f"{number:064x}"))
            left -= taken
    return Manifest("source", ("pneumonia",), Path(), tuple(samples))


def different_hashes(count: int) -> NDArray[np.bool_]:
    """Hashes of pictures of which no two look alike."""
    return np.random.default_rng(5).random((count, HASH_BITS)) < 0.5


MANIFEST = study()
HASHES = different_hashes(len(MANIFEST))


def split(manifest: Manifest = MANIFEST, seed: int = 1, **planted: NDArray[np.bool_]) -> Split:
    return split_by_group(manifest, FRACTIONS, seed, planted.get("hashes", HASHES))


def test_no_group_is_divided() -> None:
    found: dict[str, set[Part]] = {}
    for sample, part in zip(MANIFEST, split().parts, strict=True):
        found.setdefault(sample.group, set()).add(part)
    assert {len(parts) for parts in found.values()} == {1}


@pytest.mark.parametrize("seed", range(5))
def test_each_subtype_comes_near_the_fractions(seed: int) -> None:
    parts = split(seed=seed).parts
    counts = Counter(zip(MANIFEST.subtypes().tolist(), parts, strict=True))
    for subtype, images in SUBTYPES:
        for part, fraction in FRACTIONS.items():
            assert counts[subtype, part] == pytest.approx(fraction * images, abs=3)


def test_every_sample_is_in_exactly_one_part() -> None:
    found = split()
    together = np.concatenate([found.indices(part) for part in Part])
    assert sorted(together) == list(range(len(MANIFEST)))


def test_seed_decides_the_split() -> None:
    assert split(seed=3).parts == split(seed=3).parts
    assert split(seed=3).parts != split(seed=4).parts


@pytest.mark.parametrize("lent", [0.3, 0.6])
def test_lent_validation_is_trained_on_and_the_test_part_stays(lent: float) -> None:
    before, after = split(), split_by_group(MANIFEST, FRACTIONS, 1, HASHES, lent)
    assert set(after.indices(Part.TEST)) == set(before.indices(Part.TEST))
    assert set(before.indices(Part.TRAINING)) < set(after.indices(Part.TRAINING))
    kept = len(before.indices(Part.VALIDATION)) * (1 - lent)
    assert len(after.indices(Part.VALIDATION)) == pytest.approx(kept, abs=4)
    assert set(MANIFEST.subtypes()[after.indices(Part.VALIDATION)]) == {s for s, _ in SUBTYPES}


@pytest.mark.parametrize("lent", [-0.1, 1.0])
def test_whole_validation_is_not_lent(lent: float) -> None:
    with pytest.raises(DataError, match="below 1"):
        split_by_group(MANIFEST, FRACTIONS, 1, HASHES, lent)


def test_folds_hold_all_but_the_test_part_and_divide_no_group() -> None:
    parts = split()
    folds = folds_of(MANIFEST, parts, 4, HASHES)
    assert set(np.flatnonzero(folds == -1)) == set(parts.indices(Part.TEST))
    assert set(np.flatnonzero(folds == 0)) == set(parts.indices(Part.VALIDATION))
    groups = MANIFEST.groups()
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    for subtype, images in SUBTYPES:
        for fold in (1, 2, 3):
            found = int((MANIFEST.subtypes()[folds == fold] == subtype).sum())
            assert found == pytest.approx(0.7 * images / 3, abs=3)


def test_folds_keep_together_what_looks_alike() -> None:
    parts = split()
    left = int(parts.indices(Part.TRAINING)[0])
    apart = folds_of(MANIFEST, parts, 4, HASHES)
    right = int(np.flatnonzero((apart > 0) & (apart != apart[left]))[0])
    hashes = HASHES.copy()
    hashes[right] = hashes[left]
    together = folds_of(MANIFEST, parts, 4, hashes)
    assert together[left] == together[right]


@pytest.mark.parametrize(("count", "told"), [(1, "at least 2"), (500, "too few")])
def test_folds_that_cannot_be_are_refused(count: int, told: str) -> None:
    with pytest.raises(DataError, match=told):
        folds_of(MANIFEST, split(), count, HASHES)


def test_digest_names_the_division_and_not_the_order() -> None:
    order = np.random.default_rng(0).permutation(len(MANIFEST))
    shuffled = MANIFEST.subset(order)
    first = split()
    same = replace(first, parts=tuple(first.parts[int(i)] for i in order))
    assert same.digest_for(shuffled) == first.digest_for(MANIFEST)
    assert split(seed=2).digest_for(MANIFEST) != first.digest_for(MANIFEST)


def test_groups_that_share_a_near_duplicate_are_kept_together() -> None:
    groups = MANIFEST.groups()
    left, right = 0, 150
    assert groups[left] != groups[right]
    apart = [
        s for s in range(40) if len({split(seed=s).parts[left], split(seed=s).parts[right]}) > 1
    ]
    assert apart, "no seed divides the two without their being merged"
    hashes = HASHES.copy()
    hashes[right] = hashes[left]
    hashes[right, :5] ^= True
    found = split(seed=apart[0], hashes=hashes)
    assert found.merged_groups == (tuple(sorted((str(groups[left]), str(groups[right])))),)
    chosen = np.isin(groups, [groups[left], groups[right]])
    assert len({found.parts[int(i)] for i in np.flatnonzero(chosen)}) == 1


def test_merging_is_transitive_and_takes_equal_files_too() -> None:
    groups = MANIFEST.groups()
    picture, file = 150, 160
    hashes = HASHES.copy()
    hashes[picture] = hashes[0]
    samples = list(MANIFEST.samples)
    samples[file] = replace(samples[file], sha256=samples[picture].sha256)
    planted = Manifest(MANIFEST.source, MANIFEST.labels, MANIFEST.root, tuple(samples))
    (merged,) = split(planted, hashes=hashes).merged_groups
    assert set(merged) == {str(groups[i]) for i in (0, picture, file)}


def moved(found: Split, index: int) -> Split:
    """The same split with one sample in another part."""
    parts = list(found.parts)
    parts[index] = Part.TEST if parts[index] is not Part.TEST else Part.TRAINING
    return replace(found, parts=tuple(parts))


def lonely(found: Split, part: Part) -> int:
    """A sample in `part` that is the only one of its patient."""
    counts = Counter(MANIFEST.groups().tolist())
    return next(
        index
        for index, sample in enumerate(MANIFEST)
        if counts[sample.group] == 1 and found.parts[index] is part
    )


def test_divided_group_is_found() -> None:
    found = split()
    counts = Counter(MANIFEST.groups().tolist())
    index = next(i for i, sample in enumerate(MANIFEST) if counts[sample.group] > 1)
    check_leaks(MANIFEST, found, HASHES)
    with pytest.raises(DataError, match="One group is in two parts of the split"):
        check_leaks(MANIFEST, moved(found, index), HASHES)


def test_file_in_two_parts_is_found() -> None:
    found = split()
    first, second = lonely(found, Part.TRAINING), lonely(found, Part.TEST)
    samples = list(MANIFEST.samples)
    copy = replace(samples[first], sample_id="copy.png", group=samples[second].group)
    samples[second] = copy
    planted = Manifest(MANIFEST.source, MANIFEST.labels, MANIFEST.root, tuple(samples))
    with pytest.raises(DataError, match=r"One file is in two parts.*copy\.png"):
        check_leaks(planted, replace(found, manifest_digest=planted.digest), HASHES)


def test_near_duplicate_in_two_parts_is_found() -> None:
    found = split()
    first, second = lonely(found, Part.TRAINING), lonely(found, Part.TEST)
    hashes = HASHES.copy()
    hashes[second] = hashes[first]
    hashes[second, 10:18] ^= True
    with pytest.raises(DataError, match="Near-duplicate pictures are in two parts") as leak:
        check_leaks(MANIFEST, found, hashes)
    assert MANIFEST.samples[first].sample_id in str(leak.value)
    assert MANIFEST.samples[second].sample_id in str(leak.value)


def test_split_of_another_manifest_is_refused() -> None:
    other = MANIFEST.subset(np.arange(len(MANIFEST) - 1))
    with pytest.raises(DataError, match="The split was made for manifest"):
        check_leaks(other, split(), HASHES[:-1])
    with pytest.raises(DataError, match="The split was made for manifest"):
        split().digest_for(other)


@pytest.mark.parametrize(
    ("fractions", "told"),
    [
        ({Part.TRAINING: 0.7, Part.TEST: 0.3}, "a share above 0 for each of"),
        ({Part.TRAINING: 1.0, Part.VALIDATION: 0.0, Part.TEST: 0.0}, "a share above 0"),
        ({Part.TRAINING: 1.2, Part.VALIDATION: -0.4, Part.TEST: 0.2}, "a share above 0"),
        ({Part.TRAINING: 0.7, Part.VALIDATION: 0.2, Part.TEST: 0.2}, "sum to 1.1, expected 1"),
        ({Part.TRAINING: 0.5, Part.VALIDATION: 0.2, Part.TEST: 0.2}, "sum to 0.9, expected 1"),
    ],
)
def test_shares_that_are_no_division_are_refused(fractions: dict[Part, float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        split_by_group(MANIFEST, fractions, 1, HASHES)


def given(*parts: str) -> Manifest:
    samples = tuple(
        replace(sample, part=part)
        for sample, part in zip(MANIFEST.samples[: len(parts)], parts, strict=True)
    )
    return replace(MANIFEST, samples=samples)


def test_parts_of_the_source_are_taken_as_they_are() -> None:
    manifest = given("training", "training", "test")
    apart = tuple(replace(s, group=f"G{number}") for number, s in enumerate(manifest))
    split = split_as_given(replace(manifest, samples=apart), None)
    assert [part.value for part in split.parts] == ["training", "training", "test"]


def test_group_in_two_parts_of_the_source_is_named() -> None:
    manifest = given("training", "test")
    samples = tuple(replace(sample, group="P-7") for sample in manifest)
    with pytest.raises(DataError, match=r"One group is in two parts of the split: .* in training"):
        split_as_given(replace(manifest, samples=samples), None)


def test_sample_without_a_part_is_named() -> None:
    with pytest.raises(DataError, match=r"1\.png is in no part of the split"):
        split_as_given(given("training", ""), None)
