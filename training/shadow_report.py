"""How far a challenger that reads along agrees with the champion, and both with reviewers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from datasets.reviews import Review
from models.findings import Decision
from models.observation import Observation


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one finding, or of the gate's verdicts, between two versions."""

    what: str
    champion: str
    challenger: str
    inputs: int
    same: float
    """Share of inputs with the same decision."""
    kappa: float | None
    """Cohen's kappa; None where both say one thing only."""
    mean_change: float | None
    """Of the probability, challenger minus champion."""
    largest_change: float | None


def agreement(pairs: Sequence[Observation]) -> list[Agreement]:
    """Return the agreement for every two versions that read the same inputs."""
    found = []
    versions = dict.fromkeys(
        (each.version, each.challenger.version) for each in pairs if each.challenger
    )
    for champion, challenger in versions:
        both = [
            (each, each.challenger)
            for each in pairs
            if each.challenger is not None
            and (each.version, each.challenger.version) == (champion, challenger)
        ]
        verdicts = [(left.verdict, right.verdict) for left, right in both]
        found.append(_agreement("verdict", champion, challenger, verdicts, []))
        labels = dict.fromkeys(label for left, _ in both for label in left.said)
        for label in labels:
            said = [
                (left.said[label], right.said[label])
                for left, right in both
                if label in left.said and label in right.said
            ]
            decisions = [(left.decision, right.decision) for left, right in said]
            changes = [right.probability - left.probability for left, right in said]
            found.append(_agreement(label, champion, challenger, decisions, changes))
    return found


def _agreement(
    what: str,
    champion: str,
    challenger: str,
    decisions: Sequence[tuple[str, str]],
    changes: Sequence[float],
) -> Agreement:
    left, right = [a for a, _ in decisions], [b for _, b in decisions]
    kappa = float(cohen_kappa_score(left, right)) if len({*left, *right}) > 1 else None
    return Agreement(
        what,
        champion,
        challenger,
        len(decisions),
        float(np.mean([a == b for a, b in decisions])) if decisions else float("nan"),
        kappa,
        float(np.mean(changes)) if len(changes) else None,
        float(max(changes, key=abs)) if len(changes) else None,
    )


@dataclass(frozen=True, slots=True)
class ShadowRead:
    """How many inputs a challenger was to read along, and why it did not read all."""

    read: int
    skipped: Mapping[str, int]
    """Inputs by reason: `busy`, `failed`, `stopped` (`models.observation`)."""

    @property
    def inputs(self) -> int:
        """All that it was to read."""
        return self.read + sum(self.skipped.values())


def shadow_read(pairs: Sequence[Observation]) -> ShadowRead:
    """Count what shadow files hold."""
    skipped = Counter(each.skipped for each in pairs if each.skipped)
    return ShadowRead(
        sum(each.challenger is not None for each in pairs), dict(sorted(skipped.items()))
    )


@dataclass(frozen=True, slots=True)
class ReviewedShadow:
    """Of one finding: what reviewers said of inputs that both versions had read."""

    finding: str
    champion: str
    challenger: str
    reviews: int
    champion_right: float
    """Share of reviewed inputs on which it decided as the reviewer did; abstaining is not right."""
    challenger_right: float
    only_champion: int
    """Inputs on which the champion alone was right."""
    only_challenger: int
    p_value: float
    """That neither is better, by the exact McNemar test on the inputs where one alone was right."""


def reviewed_shadow(
    pairs: Sequence[Observation], reviews: Sequence[Review]
) -> list[ReviewedShadow]:
    """Return, for every two versions and finding, who of them reviewers agreed with.

    A review and a reading belong together by the pseudonym of what was sent (`sent`); of an input
    that was read or reviewed several times, the last counts.
    """
    found = {each.sent: each for each in pairs if each.sent and each.challenger}
    told: dict[tuple[str, str, str], list[tuple[bool, bool]]] = {}
    for review in {each.sent: each for each in reviews if each.sent in found}.values():
        for key, right in _right(found[review.sent], review):
            told.setdefault(key, []).append(right)
    return [_reviewed(key, right) for key, right in sorted(told.items())]


def _right(
    pair: Observation, review: Review
) -> Iterator[tuple[tuple[str, str, str], tuple[bool, bool]]]:
    challenger = pair.challenger
    if challenger is None or review.model != pair.model:
        return
    for each in review.findings:
        if each.present is None:
            continue
        true = Decision.PRESENT if each.present else Decision.ABSENT
        both = [said.said.get(each.finding) for said in (pair, challenger)]
        # What a version does not look for, or refused, it is not held against.
        if None not in both:
            first, second = (said is not None and said.decision == true for said in both)
            yield (each.finding, pair.version, challenger.version), (first, second)


def _reviewed(key: tuple[str, str, str], right: Sequence[tuple[bool, bool]]) -> ReviewedShadow:
    first, second = (np.array(column) for column in zip(*right, strict=True))
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    return ReviewedShadow(
        *key,
        reviews=len(right),
        champion_right=float(first.mean()),
        challenger_right=float(second.mean()),
        only_champion=only_first,
        only_challenger=only_second,
        p_value=float(stats.binomtest(only_first, differ).pvalue) if differ else 1.0,
    )
