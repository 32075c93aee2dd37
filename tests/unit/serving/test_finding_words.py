import pytest

from models.calibration import LabelCalibration
from models.findings import Decision
from serving.finding_words import finding_in_words, probability_in_words


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.0, "<0.01"),
        (0.0049, "<0.01"),
        (0.005, "0.01"),
        (0.0149, "0.01"),
        (0.5, "0.50"),
        (0.9949, "0.99"),
        (0.995, ">0.99"),
        (1.0, ">0.99"),
    ],
)
def test_a_probability_is_never_told_as_certain(probability: float, words: str) -> None:
    assert probability_in_words(probability) == words


def words_at(probability: float, *, present_from: float, absent_to: float) -> tuple[str, ...]:
    """The words for a probability under conformal bounds, decided as the service decides."""
    calibration = LabelCalibration(
        slope=1.0,
        intercept=0.0,
        operating_point=0.5,
        conformal_coverage=0.95,
        present_from=present_from,
        absent_to=absent_to,
    )
    return finding_in_words(
        decision=calibration.decide(probability),
        probability=probability,
        operating_point=calibration.operating_point,
        conformal_set=calibration.conformal_set(probability),
        conformal_coverage=calibration.conformal_coverage,
    )


@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_a_decision_needs_no_reason(probability: float) -> None:
    assert words_at(probability, present_from=0.6, absent_to=0.4) == (
        f"probability {probability:.2f}",
        "(counts as present from 0.50)",
    )


@pytest.mark.parametrize(
    ("present_from", "absent_to", "reason"),
    [
        pytest.param(0.4, 0.6, "present and absent both possible at 95 % coverage", id="both"),
        pytest.param(0.6, 0.4, "neither present nor absent fits at 95 % coverage", id="neither"),
        pytest.param(
            0.7, 0.6, "only absent fits at 95 % coverage, against the operating point", id="other"
        ),
    ],
)
def test_an_abstention_gives_its_reason(present_from: float, absent_to: float, reason: str) -> None:
    told = words_at(0.55, present_from=present_from, absent_to=absent_to)

    assert told == ("probability 0.55", "(counts as present from 0.50)", f"abstains: {reason}")


def test_coverage_is_told_as_it_is() -> None:
    *_, reason = finding_in_words(
        decision=Decision.INDETERMINATE,
        probability=0.5,
        operating_point=0.5,
        conformal_set=(),
        conformal_coverage=0.975,
    )
    assert reason.endswith("at 97.5 % coverage")
