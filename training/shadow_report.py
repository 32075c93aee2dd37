"""How far a challenger that reads along agrees with the champion, on live inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import cohen_kappa_score

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
