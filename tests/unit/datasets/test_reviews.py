import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.duplicates import HASH_BITS
from datasets.manifest import Manifest, Sample
from datasets.reviews import Review, read_reviews
from datasets.reviews.merging import with_reviews
from datasets.splits import Part, split_by_group
from models.errors import DataError
from training.review_agreement import review_agreement

MANIFEST = Manifest(
    "chest",
    ("effusion", "pneumonia"),
    Path(),
    tuple(
        Sample(f"{n}.png", f"P{n}", ("pneumonia",) if n % 2 else (), f"s{n % 2}", f"{n:064x}")
        for n in range(40)
    ),
)
THIRDS = {Part.TRAINING: 0.6, Part.VALIDATION: 0.2, Part.TEST: 0.2}


def review(number: int, folder: Path) -> dict[str, Any]:
    """A review of a new image: pneumonia is rejected, an effusion that was missed is added."""
    content = f"image {number}".encode()
    (folder / f"{number}.png").write_bytes(content)
    return {
        "format": 1,
        "review_id": f"r{number}",
        "image": {
            "path": f"{number}.png",
            "sha256": hashlib.sha256(content).hexdigest(),
            "patient": f"N{number}",
            "site": "clinic",
            "age_years": 3,
            "sex": "F",
        },
        "model": {"name": "chest", "version": "1.0.0", "digest": "sha256:" + "0" * 64},
        "findings": [
            {"finding": "pneumonia", "action": "reject", "said": "present", "reason": "artefact"},
            {"finding": "effusion", "action": "add", "said": "none", "reason": "missed"},
        ],
        "reader": {"id": "R1", "role": "radiologist"},
        "reading_time_s": 41.5,
        "signed_at": "2026-11-20",
        "consent": {"training": True, "scope": "institution"},
    }


def written(folder: Path, *reviews: dict[str, Any]) -> Path:
    path = folder / "reviews.jsonl"
    lines = "".join(json.dumps(each) + "\n" for each in reviews)
    path.write_text(lines, encoding="utf-8")
    return path


def read(folder: Path, *reviews: dict[str, Any]) -> list[Review]:
    return list(read_reviews(written(folder, *reviews)))


def test_reviewed_cases_are_a_new_version_with_reader_delta_and_time(tmp_path: Path) -> None:
    reviews = read(tmp_path, review(1, tmp_path), review(2, tmp_path))
    made = with_reviews(MANIFEST, reviews, tmp_path)
    assert (made.version, len(made)) == ("1.1.0", len(MANIFEST) + 2)
    assert made.digest != MANIFEST.digest
    new = made.samples[-1]
    assert (new.present, new.part, new.group, new.site) == (
        ("effusion",),
        "training",
        "N2",
        "clinic",
    )
    assert made.fact("review_reader")[-1] == "R1"
    assert made.fact("review_role")[-1] == "radiologist"
    assert made.fact("review_delta")[-1] == "reject pneumonia (artefact), add effusion (missed)"
    assert made.fact("review_time_s")[-1] == 41.5
    assert made.path_of(new).read_bytes() == b"image 2"
    elsewhere = replace(new, path="elsewhere/2.png")
    assert replace(made, samples=(*made.samples[:-1], elsewhere)).digest == made.digest


def test_locked_set_stays_what_it_was(tmp_path: Path) -> None:
    hashes = np.random.default_rng(0).random((42, HASH_BITS)) < 0.5
    before = split_by_group(MANIFEST, THIRDS, 1, hashes[:40])
    made = with_reviews(
        MANIFEST, read(tmp_path, review(1, tmp_path), review(2, tmp_path)), tmp_path
    )
    after = split_by_group(made, THIRDS, 1, hashes)
    assert after.parts[:40] == before.parts
    assert set(after.parts[40:]) == {Part.TRAINING}


def test_reviewed_patient_of_the_test_part_is_named(tmp_path: Path) -> None:
    hashes = np.random.default_rng(0).random((41, HASH_BITS)) < 0.5
    held = MANIFEST.samples[split_by_group(MANIFEST, THIRDS, 1, hashes[:40]).indices(Part.TEST)[0]]
    content = review(1, tmp_path)
    content["image"]["patient"] = held.group
    made = with_reviews(MANIFEST, read(tmp_path, content), tmp_path)
    with pytest.raises(DataError, match=r"review/r1 in training\. .* take this review out"):
        split_by_group(made, THIRDS, 1, hashes)


def test_reviewed_image_that_looks_like_a_locked_one_is_named(tmp_path: Path) -> None:
    hashes = np.random.default_rng(0).random((41, HASH_BITS)) < 0.5
    held = split_by_group(MANIFEST, THIRDS, 1, hashes[:40]).indices(Part.TEST)[0]
    hashes[40] = hashes[held]
    made = with_reviews(MANIFEST, read(tmp_path, review(1, tmp_path)), tmp_path)
    with pytest.raises(DataError, match=r"Near-duplicate .* review/r1 in training .* take this"):
        split_by_group(made, THIRDS, 1, hashes)


def changed(content: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    content = copy.deepcopy(content)
    inner: Any = content
    for step in path[:-1]:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return content


@pytest.mark.parametrize(
    ("path", "to", "told"),
    [
        (("consent", "training"), False, "there is no consent to training; take the review out"),
        (("consent",), None, "at the top level: does not fit"),
        (("findings", "0", "action"), "doubt", "at findings/0/action"),
        (("findings", "0", "reason"), None, "at findings/0: does not fit"),
        (("findings", "1", "said"), "present", "at findings/1/said"),
        (("reader", "role"), "owner", "at reader/role"),
        (("reader", "name"), "Wang Wei", "at reader: does not fit"),
        (("reading_time_s",), 0, "at reading_time_s"),
        (("image", "path"), "/etc/passwd", "at image/path"),
    ],
)
def test_review_that_does_not_fit_is_named_by_its_line(
    tmp_path: Path, path: tuple[str, ...], to: Any, told: str
) -> None:
    good = review(1, tmp_path)
    with pytest.raises(DataError, match=told) as refusal:
        read(tmp_path, good, changed(review(2, tmp_path), *path, to=to))
    assert "reviews.jsonl line 2" in str(refusal.value)
    assert "Wang" not in str(refusal.value)


def test_nothing_is_silently_left_out(tmp_path: Path) -> None:
    good = review(1, tmp_path)
    with pytest.raises(DataError, match="r1: its image has another digest"):
        with_reviews(
            MANIFEST, read(tmp_path, changed(good, "image", "sha256", to="f" * 64)), tmp_path
        )
    with pytest.raises(DataError, match="r1: its image is not beside the reviews"):
        with_reviews(
            MANIFEST, read(tmp_path, changed(good, "image", "path", to="gone.png")), tmp_path
        )
    with pytest.raises(DataError, match="r1 is of the finding 'nodule', which chest has no label"):
        with_reviews(
            MANIFEST,
            read(tmp_path, changed(good, "findings", "1", "finding", to="nodule")),
            tmp_path,
        )
    with pytest.raises(DataError, match="r1 does not decide 'pneumonia'"):
        with_reviews(
            MANIFEST,
            read(tmp_path, changed(good, "findings", "0", "said", to="indeterminate")),
            tmp_path,
        )
    other = changed(changed(good, "review_id", to="r9"), "findings", "0", "action", to="accept")
    with pytest.raises(DataError, match="r1 and r9 contradict each other"):
        with_reviews(MANIFEST, read(tmp_path, good, other), tmp_path)
    known = replace(
        MANIFEST, samples=(replace(MANIFEST.samples[0], sha256=good["image"]["sha256"]),)
    )
    with pytest.raises(DataError, match=r"of review r1 is in chest 1\.0\.0 already"):
        with_reviews(known, read(tmp_path, good), tmp_path)


def test_agreement_counts_what_reviewers_did(tmp_path: Path) -> None:
    reviews = read(tmp_path, review(1, tmp_path), review(2, tmp_path))
    effusion, pneumonia = review_agreement(reviews, "chest", "1.0.0")
    assert (effusion.finding, effusion.added, effusion.rate) == ("effusion", 2, 0.0)
    assert (pneumonia.finding, pneumonia.rejected, pneumonia.reviews) == ("pneumonia", 2, 2)
    assert review_agreement(reviews, "chest", "2.0.0") == []
