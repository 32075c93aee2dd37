import math
from dataclasses import replace

import pytest

from models.chest_template import Way
from models.errors import InputTooLargeError, UnreadableImageError
from models.findings import ImageQuality, Verdict
from models.intended_use import Allowed, Range, Rule
from models.preprocessing import InputSpec
from models.radiograph import AgeSource, RadiographFacts
from serving.gate import judge_pixels, judge_use, of_the_chest_alone, refuse_unreadable

RULES = (
    Allowed("modality", ("CR", "DX")),
    Allowed("body_part", ("CHEST",)),
    Range("age_years", minimum=1, below=6, margin=1),
)
CHILD = RadiographFacts(
    source_format="DICOM",
    modality="CR",
    body_part="CHEST",
    age_years=3.0,
    age_source=AgeSource.PATIENT_AGE,
)
CLEAR = ImageQuality(
    rows=1000, columns=1200, dynamic_range=0.9, clipped_fraction=0.01, sharpness=5.0
)


def test_an_input_within_the_intended_use_is_accepted_without_reasons() -> None:
    judgement = judge_use(RULES, CHILD)

    assert judgement.verdict is Verdict.ACCEPTED
    assert judgement.reasons == ()


@pytest.mark.parametrize(
    ("age_years", "verdict"),
    [
        pytest.param(-0.01, Verdict.OUTSIDE_INTENDED_USE, id="below the margin"),
        pytest.param(0.0, Verdict.ACCEPTED, id="at the lower end of the margin"),
        pytest.param(6.99, Verdict.ACCEPTED, id="within the upper margin"),
        pytest.param(7.0, Verdict.OUTSIDE_INTENDED_USE, id="at the end of the upper margin"),
        pytest.param(64.5, Verdict.OUTSIDE_INTENDED_USE, id="adult"),
    ],
)
def test_age_is_held_against_the_range_and_its_margin(age_years: float, verdict: Verdict) -> None:
    assert judge_use(RULES, replace(CHILD, age_years=age_years)).verdict is verdict


def test_every_broken_rule_is_told_with_what_was_found_and_expected() -> None:
    adult_leg = replace(
        CHILD, body_part="LEG", age_years=40.25, age_source=AgeSource.BIRTH_AND_STUDY_DATE
    )

    judgement = judge_use(RULES, adult_leg)

    assert judgement.verdict is Verdict.OUTSIDE_INTENDED_USE
    assert [(r.rule, r.found, r.expected) for r in judgement.reasons] == [
        ("body_part", "LEG", "chest"),
        ("age_years", "40.2", "1 to under 6 years (tolerance 1 year)"),
    ]
    assert "from the dates of birth and study" in judgement.reasons[1].message.en
    assert "出生日期" in judgement.reasons[1].message.zh


def test_facts_that_are_not_stated_break_no_rule_and_are_listed() -> None:
    judgement = judge_use(RULES, RadiographFacts(source_format="PNG"))

    assert judgement.verdict is Verdict.ACCEPTED
    assert [(r.rule, r.found) for r in judgement.reasons] == [
        ("modality", None),
        ("body_part", None),
        ("age_years", None),
    ]


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        pytest.param(1.0, Verdict.ACCEPTED, id="at the threshold"),
        pytest.param(1.001, Verdict.OUT_OF_DISTRIBUTION, id="above it"),
        pytest.param(math.inf, Verdict.OUT_OF_DISTRIBUTION, id="infinite"),
        pytest.param(math.nan, Verdict.OUT_OF_DISTRIBUTION, id="not a number"),
    ],
)
def test_pixels_are_refused_above_the_threshold(score: float, verdict: Verdict) -> None:
    assert judge_pixels(judge_use(RULES, CHILD), CLEAR, score).verdict is verdict


def test_a_uniform_image_is_refused_whatever_its_distance() -> None:
    judgement = judge_pixels(judge_use(RULES, CHILD), replace(CLEAR, dynamic_range=0.05), 0.5)

    assert judgement.verdict is Verdict.OUT_OF_DISTRIBUTION
    assert [(r.rule, r.found, r.expected) for r in judgement.reasons] == [
        ("dynamic_range", "0.05", "at least 0.1")
    ]


def test_refusal_by_pixels_still_tells_what_was_not_checked() -> None:
    by_use = judge_use(RULES, RadiographFacts(source_format="JPEG", modality="CR"))

    judgement = judge_pixels(by_use, CLEAR, 2.0)

    assert [r.rule for r in judgement.reasons] == ["embedding_distance", "body_part", "age_years"]


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (UnreadableImageError("no pixels", "没有像素"), "file_format"),
        (InputTooLargeError("too many pixels", "像素过多"), "input_size"),
    ],
)
def test_unreadable_bytes_are_told_apart(error: UnreadableImageError, rule: str) -> None:
    judgement = refuse_unreadable(error)

    assert judgement.verdict is Verdict.UNREADABLE
    (reason,) = judgement.reasons
    assert (reason.rule, reason.message) == (rule, error.text)


def test_raw_detector_images_are_refused_for_every_model() -> None:
    judgement = judge_use((), replace(CHILD, presentation_intent="FOR PROCESSING"))

    assert judgement.verdict is Verdict.OUTSIDE_INTENDED_USE
    (reason,) = judgement.reasons
    assert (reason.rule, reason.found) == ("presentation_intent", "FOR PROCESSING")


@pytest.mark.parametrize("intent", [None, "FOR PRESENTATION"])
def test_images_for_people_and_those_that_do_not_say_are_accepted(intent: str | None) -> None:
    judgement = judge_use(RULES, replace(CHILD, presentation_intent=intent))

    assert (judgement.verdict, judgement.reasons) == (Verdict.ACCEPTED, ())


@pytest.mark.parametrize(
    ("way", "told"),
    [
        (Way("upright", inverted=False), []),
        (Way("upright", inverted=True), [("grey_levels", "inverted", "air dark, bone bright")]),
        (Way("upside down", inverted=False), [("orientation", "upside down", "upright")]),
        (
            Way("turned left", inverted=True),
            [
                ("grey_levels", "inverted", "air dark, bone bright"),
                ("orientation", "turned by a quarter to the left", "upright"),
            ],
        ),
    ],
    ids=str,
)
def test_a_radiograph_that_is_presented_wrongly_is_refused_with_what_to_do(
    way: Way, told: list[tuple[str, str, str]]
) -> None:
    judgement = judge_pixels(judge_use(RULES, CHILD), CLEAR, 0.5, way=way)
    expected = Verdict.OUT_OF_DISTRIBUTION if told else Verdict.ACCEPTED
    assert judgement.verdict is expected
    assert [(r.rule, r.found, r.expected) for r in judgement.reasons] == told
    assert all(reason.message.en and reason.message.zh for reason in judgement.reasons)


def test_of_an_image_that_shows_nothing_only_that_is_told() -> None:
    way = Way("upside down", inverted=True)
    nothing = replace(CLEAR, dynamic_range=0.05)
    judgement = judge_pixels(judge_use(RULES, CHILD), nothing, 0.5, way=way)
    assert [reason.rule for reason in judgement.reasons] == ["dynamic_range"]


@pytest.mark.parametrize(
    ("rules", "kind", "expected"),
    [
        (RULES, "radiograph", True),
        ((Allowed("body_part", ("CHEST", "ABDOMEN")),), "radiograph", False),
        ((Range("age_years", 1, 6, 0),), "radiograph", False),
        (RULES, "tile", False),
    ],
)
def test_only_a_model_for_chests_alone_is_asked_how_the_chest_lies(
    rules: tuple[Rule, ...], kind: str, expected: bool
) -> None:
    intensity = "standardised" if kind == "radiograph" else "centred"
    assert of_the_chest_alone(rules, InputSpec(224, intensity, kind=kind)) is expected
