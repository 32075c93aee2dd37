from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.manifest import Manifest, Sample
from models.errors import DataError

NORMAL = Sample("a/1.png", "patient-1", (), "normal", "11" * 32)
VIRUS = Sample("a/2.png", "patient-2", ("pneumonia",), "virus", "22" * 32)
BACTERIA = Sample("b/3.png", "patient-2", ("pneumonia",), "bacteria", "33" * 32)


def manifest(*samples: Sample, root: str = "here") -> Manifest:
    return Manifest("source", ("pneumonia",), Path(root), samples)


def test_digest_does_not_depend_on_order_or_folder() -> None:
    first = manifest(NORMAL, VIRUS, BACTERIA)
    assert manifest(BACTERIA, NORMAL, VIRUS).digest == first.digest
    assert manifest(NORMAL, VIRUS, BACTERIA, root="there").digest == first.digest
    assert first.digest.startswith("sha256:")
    assert len(first.digest) == 71


@pytest.mark.parametrize(
    "changed",
    [
        manifest(NORMAL, VIRUS),
        manifest(NORMAL, VIRUS, replace(BACTERIA, sample_id="b/4.png")),
        manifest(NORMAL, VIRUS, replace(BACTERIA, group="patient-3")),
        manifest(NORMAL, VIRUS, replace(BACTERIA, present=())),
        manifest(NORMAL, VIRUS, replace(BACTERIA, subtype="virus")),
        manifest(NORMAL, VIRUS, replace(BACTERIA, sha256="44" * 32)),
        Manifest("other", ("pneumonia",), Path("here"), (NORMAL, VIRUS, BACTERIA)),
        Manifest("source", ("pneumonia", "effusion"), Path("here"), (NORMAL, VIRUS, BACTERIA)),
    ],
)
def test_digest_changes_with_everything_else(changed: Manifest) -> None:
    assert changed.digest != manifest(NORMAL, VIRUS, BACTERIA).digest


def test_empty_manifest_is_refused() -> None:
    with pytest.raises(DataError, match="source has no samples"):
        manifest()


def test_repeated_id_is_refused() -> None:
    with pytest.raises(DataError, match="twice; sample ids must be unique: drop one of the rows"):
        manifest(NORMAL, replace(VIRUS, sample_id=NORMAL.sample_id))


def test_unknown_finding_is_refused() -> None:
    with pytest.raises(DataError, match=r"a/2\.png has the findings \['fracture'\]"):
        manifest(NORMAL, replace(VIRUS, present=("fracture",)))


def test_one_file_with_two_labels_is_refused() -> None:
    with pytest.raises(DataError, match=r"a/1\.png and a/2\.png are the same file"):
        manifest(NORMAL, replace(VIRUS, sha256=NORMAL.sha256))


def test_one_file_under_two_names_with_one_label_is_accepted() -> None:
    assert len(manifest(VIRUS, replace(BACTERIA, sha256=VIRUS.sha256))) == 2


def test_targets_follow_the_order_of_the_labels() -> None:
    both = replace(BACTERIA, present=("effusion", "pneumonia"))
    found = Manifest("source", ("pneumonia", "effusion"), Path(), (NORMAL, VIRUS, both)).targets()
    np.testing.assert_array_equal(found, [[0, 0], [1, 0], [1, 1]])


def test_subset_keeps_the_order_asked_for() -> None:
    part = manifest(NORMAL, VIRUS, BACTERIA).subset(np.array([2, 0]))
    assert part.samples == (BACTERIA, NORMAL)
    assert part.groups().tolist() == ["patient-2", "patient-1"]
    assert part.subtypes().tolist() == ["bacteria", "normal"]
    assert part.path_of(NORMAL) == Path("here/a/1.png")
