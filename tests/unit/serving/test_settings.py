import pytest

from serving.precision import Precision
from serving.settings import SettingError, Settings


def test_defaults_hold_where_nothing_is_set() -> None:
    settings = Settings.from_environment({})

    assert settings.model == "chest-xray-pneumonia"
    assert settings.precision is Precision.FP32
    assert settings.threads >= 1


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(
        {"ZHUZHEN_MODEL": "other@2.0.0", "ZHUZHEN_PRECISION": "int8", "ZHUZHEN_THREADS": "3"}
    )

    assert (settings.model, settings.precision, settings.threads) == (
        "other@2.0.0",
        Precision.INT8,
        3,
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ZHUZHEN_PRECISION", "fp16", "fp32 or int8"),
        ("ZHUZHEN_THREADS", "many", "a whole number"),
        ("ZHUZHEN_THREADS", "-1", "a whole number"),
        ("ZHUZHEN_THREADS", "0", "from 1"),
        ("ZHUZHEN_AUDIT_SYNC_WITHIN_MS", "5000", "from 0 to 1000"),
    ],
)
def test_unknown_values_are_named(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError, match=expected) as caught:
        Settings.from_environment({name: value})

    assert name in str(caught.value)
    assert value in str(caught.value)
