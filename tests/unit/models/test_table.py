import math

import pytest

from models.errors import InputError, PackageInvalidError
from models.findings import Text
from models.table import Given, TableInput, TableSpec

SEX = TableInput(
    "sex", Text("sex", "性别"), categories=("M", "F"), synonyms={"1.0": "M", "2.0": "F", "女": "F"}
)
PRESSURE = TableInput(
    "sbp_mmhg",
    Text("pressure", "血压"),
    "mm[Hg]",
    minimum=40,
    maximum=300,
    optional=True,
    usual_low=90,
    usual_high=200,
    aliases={"sbp_kpa": 7.50062},
    missing=(999,),
)
SPEC = TableSpec((SEX, PRESSURE))


@pytest.mark.parametrize(
    ("given", "place"), [("M", 0), ("1.0", 0), (1, 0), ("2", 1), (2.0, 1), ("女", 1), (" F ", 1)]
)
def test_category_is_known_by_all_its_spellings(given: Given, place: int) -> None:
    assert SEX.number(given) == place


@pytest.mark.parametrize("given", [None, "", "NaN", "na", 999, "999", math.nan])
def test_missing_value_is_nan(given: Given) -> None:
    assert math.isnan(PRESSURE.number(given))


@pytest.mark.parametrize("given", ["high", 39, 301, "inf"])
def test_value_that_cannot_be_is_refused(given: Given) -> None:
    with pytest.raises(InputError, match="sbp_mmhg is"):
        PRESSURE.number(given)


def test_vector_tells_what_is_missing_and_what_is_unusual() -> None:
    vector = SPEC.vector({"sex": "F"})
    assert vector.missing == ("sbp_mmhg",)
    assert SPEC.vector({"sex": "F", "sbp_kpa": 28}).unusual == ("sbp_mmhg",)
    with pytest.raises(InputError, match="sex must be given"):
        SPEC.vector({"sbp_mmhg": 120})


def test_synonym_of_an_unknown_category_is_refused() -> None:
    with pytest.raises(PackageInvalidError, match="synonyms for"):
        TableInput("sex", Text("sex", "性别"), categories=("M",), synonyms={"f": "F"})
