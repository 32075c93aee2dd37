from dataclasses import replace

import pytest

from datasets.reviews import FindingReview, Review
from models.observation import Observation, Said
from training.shadow_report import reviewed_shadow

PAIR = Observation(
    at="2026-11-25T08:00:00+00:00",
    institution="clinic",
    model="chest",
    version="1.0.0",
    verdict="accepted",
    facts={},
    codes={},
    ood_score=0.5,
    position=(),
    said={"pneumonia": Said(0.9, "present")},
    sent="p-1",
)


def pair(sent: str, champion: str, challenger: str) -> Observation:
    own = replace(PAIR, sent=sent, said={"pneumonia": Said(0.5, champion)})
    said = {"pneumonia": Said(0.5, challenger)}
    return replace(own, challenger=replace(own, version="1.1.0", said=said))


def review(sent: str, action: str, said: str) -> Review:
    findings = (FindingReview("pneumonia", action, said, ""),)
    return Review(
        f"r{sent}", "x.png", "0" * 64, "P", "chest", "1.0.0", findings, "R", "radiologist", 9.0,
        "", None, "", sent,
    )  # fmt: skip


def test_both_versions_are_held_against_the_reviewer() -> None:
    pairs = [
        pair("p-1", "present", "present"),
        pair("p-2", "present", "absent"),
        pair("p-3", "present", "absent"),
        pair("p-4", "absent", "indeterminate"),
        pair("p-5", "present", "absent"),
        pair("", "present", "absent"),
    ]
    reviews = [
        review("p-1", "accept", "present"),
        review("p-2", "reject", "present"),
        review("p-3", "reject", "present"),
        review("p-4", "accept", "absent"),
        review("p-9", "accept", "present"),
        review("", "accept", "present"),
    ]
    (found,) = reviewed_shadow(pairs, reviews)
    assert (found.finding, found.champion, found.challenger) == ("pneumonia", "1.0.0", "1.1.0")
    assert found.reviews == 4
    assert (found.champion_right, found.challenger_right) == (0.5, 0.75)
    assert (found.only_champion, found.only_challenger) == (1, 2)
    assert found.p_value == pytest.approx(1.0)


def test_ten_to_none_is_no_accident() -> None:
    pairs = [pair(f"p-{n}", "present", "absent") for n in range(10)]
    reviews = [review(f"p-{n}", "reject", "present") for n in range(10)]
    (found,) = reviewed_shadow(pairs, reviews)
    assert found.p_value == pytest.approx(2 / 2**10)


def test_what_nobody_decided_or_nobody_reviewed_counts_nothing() -> None:
    pairs = [pair("p-1", "indeterminate", "present")]
    assert reviewed_shadow(pairs, [review("p-1", "accept", "indeterminate")]) == []
    assert reviewed_shadow(pairs, []) == []
    other = replace(review("p-1", "add", "none"), model="another")
    assert reviewed_shadow(pairs, [other]) == []
