from dataclasses import replace

import numpy as np
import pytest

from models.observation import Observation, Said
from training.drift import FEWEST, by_institution, compare
from training.drift_trial import replay
from training.shadow_report import agreement


def readings(count: int, seed: int, **shift: float) -> list[Observation]:
    """Readings of a made-up clinic; `shift` moves one number or rate of them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        refused = rng.uniform() < shift.get("refused", 0.03)
        probability = float(np.clip(rng.beta(2, 2) + shift.get("score", 0), 0, 1))
        unsure = rng.uniform() < shift.get("abstains", 0.05)
        decision = "indeterminate" if unsure else "present" if probability > 0.5 else "absent"
        found.append(
            Observation(
                at="2026-11-20T10:00:00+00:00",
                institution="clinic",
                model="chest",
                version="1.0.0",
                verdict="out_of_distribution" if refused else "accepted",
                facts={
                    "sharpness": float(rng.normal(5 + shift.get("sharpness", 0), 1)),
                    "dynamic_range": float(rng.uniform(0.6, 0.9)),
                },
                codes={"modality": "CR" if rng.uniform() < shift.get("cr", 0.9) else "DX"},
                ood_score=float(rng.gamma(8, 0.06)),
                position=tuple(rng.normal(shift.get("embedding", 0), 1, size=8).tolist()),
                said={} if refused else {"pneumonia": Said(probability, decision)},
            )
        )
    return found


REFERENCE = readings(600, 0)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ({"sharpness": 0.6}, {"sharpness"}),
        ({"embedding": 0.7}, {f"embedding {at + 1}" for at in range(8)}),
        ({"score": 0.2}, {"probability of pneumonia"}),
        ({"refused": 0.2}, {"refused: out_of_distribution"}),
        ({"abstains": 0.3}, {"abstains on pneumonia"}),
        ({"cr": 0.3}, {"modality is CR", "modality is DX"}),
    ],
)
def test_what_moved_gives_an_alarm_and_nothing_else(
    shift: dict[str, float], expected: set[str]
) -> None:
    drift = compare("clinic", REFERENCE, readings(300, 1, **shift))
    assert {measure.name for measure in drift.alarms} == expected


def test_unchanged_stream_is_silent_over_a_hundred_replays() -> None:
    found = replay(REFERENCE, REFERENCE, readings=200, replays=100, seed=1)
    assert found.alarms <= 2
    # The replay can tell: one that is shifted is told each time.
    shifted = readings(600, 2, sharpness=0.8)
    assert replay(REFERENCE, shifted, readings=200, replays=20, seed=1).alarms == 20


def test_difference_that_does_not_matter_gives_no_alarm_however_many_readings() -> None:
    slight = readings(20_000, 3, sharpness=0.1)
    drift = compare("clinic", readings(20_000, 4), slight)
    sharpness = next(each for each in drift.measures if each.name == "sharpness")
    assert sharpness.p_value < 1e-6
    assert drift.alarms == ()


def test_too_few_readings_say_nothing() -> None:
    drift = compare("clinic", REFERENCE, readings(FEWEST - 1, 1, sharpness=5))
    assert (drift.enough, drift.measures) == (False, ())


def test_each_institution_is_judged_by_itself() -> None:
    away = [replace(each, institution="other") for each in readings(100, 5, sharpness=3)]
    grouped = by_institution([*readings(100, 6), *away])
    alarms = {who: bool(compare(who, REFERENCE, each).alarms) for who, each in grouped.items()}
    assert alarms == {"all": True, "clinic": False, "other": True}
    assert list(by_institution(readings(3, 0))) == ["clinic"]


def test_shadow_agreement_by_hand() -> None:
    first, second, third = readings(3, 7, refused=0.0)
    pairs = [
        replace(each, said={"p": Said(0.9, "present")}, challenger=replace(
            each, version="1.1.0", said={"p": Said(probability, decision)}))
        for each, probability, decision in (
            (first, 0.8, "present"), (second, 0.9, "present"), (third, 0.1, "absent"))
    ]  # fmt: skip
    verdict, said = agreement(pairs)
    assert (verdict.what, verdict.same, verdict.kappa) == ("verdict", 1.0, None)
    assert (said.what, said.champion, said.challenger) == ("p", "1.0.0", "1.1.0")
    assert said.same == pytest.approx(2 / 3)
    assert said.kappa == pytest.approx(0.0)
    assert said.mean_change == pytest.approx(-0.3)
    assert said.largest_change == pytest.approx(-0.8)
