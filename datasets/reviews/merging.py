"""Reviewed images become a new version of a manifest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.manifest import REVIEWED, Manifest, Sample, Value
from datasets.reviews import Review, read_reviews
from datasets.reviews.summary import summary_of
from models.errors import DataError
from models.package import digest_of

FACTS = (
    *("review_id", "review_reader", "review_role"),
    *("review_delta", "review_time_s", "review_consent"),
)
"""Of a reviewed sample: which review, who read it, in which role, what was changed and why, how
long it took, and the scope of the consent. By its id it is found again where somebody withdraws."""


def with_reviews(manifest: Manifest, reviews: Sequence[Review], folder: Path) -> Manifest:
    """Return the next version of `manifest`, with the reviewed images of `folder`.

    They are for training alone: the parts of the samples that were there stay what they were, so
    that the locked set stays locked. The findings are those of the last review of an image; a
    finding that nobody decided, of an abstaining model, keeps an image out, which is an error.

    Raises:
        DataError: an image is absent or another one, a finding is not one of the labels, or two
            readers contradict each other; the message names the review.
    """
    last: dict[str, Review] = {}
    for review in reviews:
        earlier = last.setdefault(review.sha256, review)
        if _present(manifest, earlier) != _present(manifest, review):
            raise DataError(
                f"The reviews {earlier.review_id} and {review.review_id} contradict each other on "
                "one image; let a third reader decide and keep one."
            )
        last[review.sha256] = review
    known = {sample.sha256 for sample in manifest}
    again = [review.review_id for review in last.values() if review.sha256 in known]
    if again:
        raise DataError(
            f"The image of review {again[0]} is in {manifest.source} {manifest.version} already; "
            "take the review out, or correct the label in the source."
        )
    old = [replace(sample, facts=(*sample.facts, *(None for _ in FACTS))) for sample in manifest]
    new = [_sample(manifest, review, folder) for review in last.values()]
    return replace(
        manifest,
        version=_next(manifest.version),
        facts=(*manifest.facts, *FACTS),
        samples=(*old, *new),
    )


def reviewed(manifest: Manifest, path: Path) -> tuple[Manifest, dict[str, Any]]:
    """Return the next version of `manifest` by the file of reviews at `path`, and what these are.

    Raises:
        DataError: as of `read_reviews` and `with_reviews`.
    """
    reviews = list(read_reviews(path))
    return with_reviews(manifest, reviews, path.parent), summary_of(path, reviews)


def _sample(manifest: Manifest, review: Review, folder: Path) -> Sample:
    path = (folder / review.sample_id).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise DataError(
            f"Review {review.review_id}: its image is not beside the reviews; export them again."
        )
    if digest_of(path) != review.sha256:
        raise DataError(
            f"Review {review.review_id}: its image has another digest than the review says; export "
            "them again."
        )
    changed = [
        f"{each.action} {each.finding}" + (f" ({each.reason})" if each.reason else "")
        for each in review.findings
        if each.action != "accept"
    ]
    facts: tuple[Value, ...] = (
        review.review_id,
        review.reader,
        review.reader_role,
        ", ".join(changed) or "accept",
        review.reading_time_s,
        review.consent_scope or None,
    )
    present = _present(manifest, review)
    return Sample(
        sample_id=f"{REVIEWED}{review.review_id}",
        group=review.group,
        present=present,
        subtype="+".join(present) or "none",
        sha256=review.sha256,
        path=str(path),
        site=review.site,
        age_years=review.age_years,
        sex=review.sex,
        part="training",
        facts=(*(None for _ in manifest.facts), *facts),
    )


def _present(manifest: Manifest, review: Review) -> tuple[str, ...]:
    unknown = [each.finding for each in review.findings if each.finding not in manifest.labels]
    if unknown:
        raise DataError(
            f"Review {review.review_id} is of the finding {unknown[0]!r}, which {manifest.source} "
            f"has no label for; known are {list(manifest.labels)}."
        )
    said = {each.finding: each.present for each in review.findings}
    undecided = [label for label in manifest.labels if said.get(label) is None]
    if undecided:
        raise DataError(
            f"Review {review.review_id} does not decide {undecided[0]!r}: the model abstained and "
            "the reader neither added nor rejected it; let a reader decide, or take it out."
        )
    return tuple(sorted(label for label in manifest.labels if said[label]))


def _next(version: str) -> str:
    major, minor, _ = (int(number) for number in version.split("."))
    return f"{major}.{minor + 1}.0"
