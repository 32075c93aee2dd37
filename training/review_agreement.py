"""How often reviewers agreed with a model, finding by finding."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from datasets.reviews import Review


@dataclass(frozen=True, slots=True)
class ReviewAgreement:
    """What reviewers did with one finding of one model version."""

    finding: str
    reviews: int
    accepted: int
    rejected: int
    relocated: int
    added: int

    @property
    def rate(self) -> float:
        """Share of reviews that accepted what the model said."""
        return self.accepted / self.reviews


def review_agreement(reviews: Iterable[Review], model: str, version: str) -> list[ReviewAgreement]:
    """Return the agreement with `version` of `model`, one entry for each finding."""
    done: dict[str, Counter[str]] = {}
    for review in reviews:
        if (review.model, review.version) == (model, version):
            for each in review.findings:
                done.setdefault(each.finding, Counter())[each.action] += 1
    return [
        ReviewAgreement(
            finding,
            counts.total(),
            counts["accept"],
            counts["reject"],
            counts["relocate"],
            counts["add"],
        )
        for finding, counts in sorted(done.items())
    ]
