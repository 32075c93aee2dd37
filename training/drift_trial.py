"""Does the drift report speak when it should, and only then? Counted on kept observations.

The reference and an unchanged stream come from the same readings, split at random; each replay
draws both anew. A shifted stream is what the model saw of the same images acquired otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.observation import Observation
from training.drift import compare


@dataclass(frozen=True, slots=True)
class Trial:
    """Alarms over many replays."""

    replays: int
    readings: int
    """In each replay's stream."""
    alarms: int
    """Replays with at least one alarm."""
    measures: dict[str, int]
    """By measure, in how many replays it gave an alarm."""


def replay(
    reference: Sequence[Observation],
    stream: Sequence[Observation],
    *,
    readings: int,
    replays: int,
    seed: int,
) -> Trial:
    """Draw `readings` of `stream` `replays` times without replacement and count the alarms.

    Where `stream` is the reference itself, what is drawn is taken out of the reference first, so
    that nothing is compared with itself.
    """
    rng = np.random.default_rng(seed)
    alarms, measures = 0, dict[str, int]()
    for _ in range(replays):
        drawn = rng.permutation(len(stream))
        chosen = [stream[int(at)] for at in drawn[:readings]]
        held = [stream[int(at)] for at in drawn[readings:]] if stream is reference else reference
        found = compare("trial", list(held), chosen).alarms
        alarms += bool(found)
        for measure in found:
            measures[measure.name] = measures.get(measure.name, 0) + 1
    in_order = dict(sorted(measures.items(), key=lambda item: -item[1]))
    return Trial(replays, readings, alarms, in_order)
