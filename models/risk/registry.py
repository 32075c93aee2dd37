"""All scores by id, published and recalibrated, and which of them an operator has enabled."""

from collections.abc import Collection, Iterator, Mapping

from models.errors import InputError, PackageError
from models.risk import (
    bedside,
    china_par,
    ckd_epi,
    classes_cn,
    diabetes_points,
    framingham,
    kdigo,
    kfre,
    news2,
    pooled_cohort,
    prevent,
    questionnaires,
    score2,
    who_cvd,
)
from models.risk.local_scores import LocalScores
from models.risk.score import Score

_ALL = (
    china_par.SCORE,
    who_cvd.LAB,
    who_cvd.NONLAB,
    bedside.CHA2DS2_VA,
    bedside.CHA2DS2_VASC,
    diabetes_points.NCDRS,
    diabetes_points.FINDRISC,
    ckd_epi.SCORE_2021,
    ckd_epi.SCORE_2009,
    kdigo.SCORE,
    kfre.KFRE_4,
    bedside.FIB_4,
    classes_cn.BP_GRADE,
    classes_cn.BMI_CLASS,
    news2.SCORE,
    questionnaires.PHQ_9,
    questionnaires.GAD_7,
    prevent.SCORE,
    pooled_cohort.SCORE,
    score2.SCORE2,
    score2.SCORE2_OP,
    score2.SCORE2_DIABETES,
    score2.SCORE2_ASIA_PACIFIC,
    framingham.CVD,
    framingham.HYPERTENSION_RISK,
    kfre.KFRE_6,
    kfre.KFRE_8,
    diabetes_points.ADA_RISK,
)

SCORES: Mapping[str, Score] = {score.id: score for score in _ALL}
"""Those published, by id, those on by default first."""

_LOCAL = LocalScores(SCORES)

ENABLED_SETTING = "ZHUZHEN_RISK_ENABLED"
"""Environment variable: ids of scores to enable beside those on by default, split by commas."""


class UnknownScoreError(InputError, LookupError):
    """There is no score of that id."""


class ScoreNotEnabledError(InputError):
    """The score is built, but an operator has to enable it by name."""


def enabled_by(setting: str) -> frozenset[str]:
    """Return the ids named in the value of `ENABLED_SETTING`.

    Raises:
        UnknownScoreError: one of them is no score.
    """
    names = frozenset(name.strip() for name in setting.split(",") if name.strip())
    for name in sorted(names):
        find(name)
    return names


def all_scores() -> Iterator[Score]:
    """Yield every score, enabled or not: those published, then those recalibrated here."""
    yield from _ALL
    yield from _LOCAL.current().values()


def find(score_id: str) -> Score:
    """Return a score, whether it is enabled or not: `name@version` for a recalibrated one, too.

    Raises:
        UnknownScoreError: naming what there is.
        PackageError: it is a recalibrated one that must not be used.
    """
    found = SCORES.get(score_id) or _LOCAL.find(score_id)
    if found is None:
        told = score_id[:40] if score_id[:40].isprintable() else "what was asked for"
        known = ", ".join(score.id for score in all_scores())
        raise UnknownScoreError(f"There is no risk score {told!r}; there are {known}.")
    return found


def known(score_id: str) -> bool:
    """Tell whether there is a score of that id, usable or not."""
    try:
        find(score_id)
    except UnknownScoreError:
        return False
    except PackageError:
        return True
    return True


def is_on(score: Score, enabled: Collection[str]) -> bool:
    """Tell whether a score is on by default or enabled; a recalibrated one is as the published."""
    published = score.recalibration.of.id if score.recalibration else score.id
    return score.off_because is None or published in enabled or score.id in enabled


def usable(score_id: str, enabled: Collection[str] = ()) -> Score:
    """Return a score that is on by default or among the `enabled` ones.

    Raises:
        UnknownScoreError: there is none of that id.
        ScoreNotEnabledError: with the reason why it is off.
    """
    score = find(score_id)
    if score.off_because is not None and not is_on(score, enabled):
        raise ScoreNotEnabledError(
            f"The score {score_id} is off: {score.off_because.en} An operator who has settled this "
            f"can enable it: {ENABLED_SETTING}={score_id}. / {score.off_because.zh}"
        )
    return score


def all_usable(enabled: Collection[str] = ()) -> Iterator[Score]:
    """Yield every score that is on by default or enabled."""
    yield from (score for score in all_scores() if is_on(score, enabled))
