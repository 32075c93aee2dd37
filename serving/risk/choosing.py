"""Which scores are computed for a person: those that were asked for, or all that apply."""

import os
from collections.abc import Mapping, Sequence
from datetime import date

from models.errors import InputError
from models.risk.assessment import Assessment, assess, read_person
from models.risk.registry import ENABLED_SETTING, all_usable, enabled_by, usable
from models.risk.score import Score

APPLICABLE = "applicable"
_MOST = 64


def enabled_scores(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the scores that the operator has enabled beside those on by default."""
    return enabled_by(environment.get(ENABLED_SETTING, ""))


def chosen_scores(asked: object, enabled: frozenset[str]) -> list[Score]:
    """Return the scores that `asked` names: one, several, or all that are on (`applicable`).

    Raises:
        InputError: it names none, too many, one that is not known or not enabled.
    """
    if asked == APPLICABLE:
        return list(all_usable(enabled))
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, Sequence) or not names or len(names) > _MOST:
        raise InputError(
            f'"scores" names no score; expected one identifier, a list of up to {_MOST}, or '
            f'"{APPLICABLE}".'
        )
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise InputError('"scores" must hold identifiers as text, each once.')
    return [usable(str(name), enabled) for name in names]


def assess_all(
    scores: Sequence[Score], sent: Mapping[str, object], *, today: date | None = None
) -> list[Assessment]:
    """Assess one person by each of `scores`.

    Raises:
        InputError: an input's name is not known, or is given twice.
    """
    # Names whose meaning depends on the score are for tables of one score alone.
    alone = scores[0] if len(scores) == 1 else None
    person = read_person(sent, alone)
    return [assess(score, person, today=today) for score in scores]
