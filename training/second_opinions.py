"""What others said of the inputs of a champion: a challenger in its shadow, and reviewers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from datasets.reviews import read_reviews
from models.observation import SHADOW, read_days
from training.review_agreement import ReviewAgreement, review_agreement
from training.shadow_report import (
    Agreement,
    ReviewedShadow,
    ShadowRead,
    agreement,
    reviewed_shadow,
    shadow_read,
)


@dataclass(frozen=True, slots=True)
class SecondOpinions:
    """How they agree with the champion, and on how many inputs."""

    shadow: Sequence[Agreement]
    shadow_read: ShadowRead
    reviews: Sequence[ReviewAgreement]
    reviewed: Sequence[ReviewedShadow]
    """Whom reviewers agreed with, of champion and challenger."""


def second_opinions(
    name: str, version: str, span: tuple[date, date], reviews: Path | None
) -> SecondOpinions:
    """Read what was said from day `span[0]` to `span[1]`, and the reviews of the file, if any."""
    pairs = list(read_days(name, SHADOW, *span))
    told = list(read_reviews(reviews)) if reviews else []
    return SecondOpinions(
        agreement(pairs),
        shadow_read(pairs),
        review_agreement(told, name, version),
        reviewed_shadow(pairs, told),
    )
