import pytest

from training.drift import Measure
from training.monitoring_words import causes_of, name_of, value_of


def moved(name: str, kind: str) -> Measure:
    return Measure(name, kind, 0.1, 0.4, 0.3, 1e-9, True)


@pytest.mark.parametrize(
    ("name", "kind", "en", "zh", "cause"),
    [
        ("sharpness", "input", "sharpness", "清晰度", "look different"),
        (
            "embedding 3",
            "embedding",
            "look to the network, direction 3",
            "方向 3",
            "look different",
        ),
        ("distance", "embedding", "distance from the images", "差异程度", "look different"),
        (
            "probability of pneumonia",
            "score",
            "probability of",
            "pneumonia 的概率",
            "something else",
        ),
        ("abstains on pneumonia", "rate", "abstains on", "pneumonia 不作判断", "something else"),
        ("refused: out_of_distribution", "rate", "unlike what", "与建模影像不同", "are refused"),
        (
            "view_position is AP",
            "rate",
            "view_position is AP",
            "view_position 为 AP",
            "Other people",
        ),
        ("age_years", "input", "age in years", "年龄", "Other people"),
        ("sbp_mmhg", "input", "sbp_mmhg", "sbp_mmhg", "Other people"),
    ],
)
def test_every_measure_has_a_name_and_a_cause_in_both_languages(
    name: str, kind: str, en: str, zh: str, cause: str
) -> None:
    measure = moved(name, kind)
    assert en in name_of(measure).en
    assert zh in name_of(measure).zh
    (told,) = causes_of([measure, measure])
    assert cause in told.seen.en
    assert told.do.en
    assert told.do.zh


def test_rates_are_told_in_per_cent() -> None:
    assert value_of(moved("refused: unreadable", "rate"), 0.052) == "5.2%"
    assert value_of(moved("sharpness", "input"), 5.1234) == "5.12"
