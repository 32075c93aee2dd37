"""What people write into tables: headings in Chinese, units in them, spreadsheets' own ways."""

import numpy as np
import pytest

from models.risk.column_names import ColumnName, column_name
from models.risk.inputs import INPUTS
from models.risk.reading import NOT_UNDERSTOOD, number_of, read_value


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("age_years", ColumnName("age_years")),
        (" Age_Years ", ColumnName("age_years")),
        ("SBP", ColumnName("sbp_mmhg")),
        ("收缩压", ColumnName("sbp_mmhg")),
        ("收缩压（mmHg）", ColumnName("sbp_mmhg", "mmHg")),
        ("收缩压(kPa)", ColumnName("sbp_mmhg", "kPa")),
        ("总胆固醇 (mmol/L)", ColumnName("total_cholesterol_mmol_l")),
        ("总胆固醇[mg/dL]", ColumnName("total_cholesterol_mmol_l", "mg/dL")),
        ("total_cholesterol (mg/dL)", None),
        ("creatinine_mg_dl", ColumnName("creatinine_umol_l", "mg/dL")),
        ("calcium_mg_dl", ColumnName("calcium_mmol_l", "mg/dL")),
        ("height_m", ColumnName("height_cm", "m")),
        ("weight_lb", ColumnName("weight_kg", "[lb_av]")),
        ("temperature_f", ColumnName("temperature_c", "[degF]")),
        ("urine_acr_mg_g", ColumnName("urine_acr_mg_g")),
        ("BMI", ColumnName("bmi_kg_m2")),
        ("性别", ColumnName("sex")),
        ("性别（男/女）", ColumnName("sex")),
        ("姓名", None),
        ("x" * 500, None),
        ("(((", None),
    ],
)
def test_headings(heading: str, expected: ColumnName | None) -> None:
    assert column_name(heading) == expected


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        *(("sex", word, 0) for word in ("male", "M", "男", "男性", "1", 1, 1.0, "1.0", "１")),
        *(("sex", word, 1) for word in ("Female", "f", "女", "女性", "2", 2, 2.0, " 女 ")),
        *(("diabetes", word, 1) for word in ("1", 1, 1.0, "1.0", True, "TRUE", "是", "有", "Y")),
        *(("diabetes", word, 0) for word in ("0", 0, 0.0, "0.0", False, "False", "否", "无", "n")),
        ("sbp_mmhg", "１４５", 145),
        ("sbp_mmhg", "1.45E+02", 145),
        ("sbp_mmhg", "145.", 145),
        ("hba1c_percent", "6.5%", 6.5),
        # As programs write what they have computed.
        ("hba1c_percent", "3.8000000000000003", 3.8000000000000003),
        ("hba1c_percent", repr(1 / 3), 1 / 3),
        ("hba1c_percent", repr(1.1 / 9000), 1.1 / 9000),
        ("spo2_percent", "97 %", 97),
        ("country", "中国", INPUTS["country"].places["CHN"]),
        ("country", "chn", INPUTS["country"].places["CHN"]),
    ],
)
def test_ways_to_write_a_value(name: str, written: object, expected: float) -> None:
    assert number_of(INPUTS[name], written) == expected


@pytest.mark.parametrize("written", ["", " ", "NA", "#N/A", "-", "/", "未测", "不详", "　", None])
def test_ways_to_write_nothing(written: object) -> None:
    assert np.isnan(number_of(INPUTS["sbp_mmhg"], written))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("sex", "0"),
        ("sex", "9"),
        ("diabetes", "2"),
        ("sbp_mmhg", "145%"),
        ("sbp_mmhg", "1,450"),
        ("sbp_mmhg", "<140"),
        ("sbp_mmhg", "145 mmHg"),
        ("sbp_mmhg", "１" * 500),
        ("sbp_mmhg", "١٤٥"),
        ("country", "HKG"),
    ],
)
def test_what_is_not_understood_is_not_guessed(name: str, written: str) -> None:
    assert number_of(INPUTS[name], written) == NOT_UNDERSTOOD


@pytest.mark.parametrize("code", ["HKG", "MAC", "LIE", "XXX", "156"])
def test_a_country_without_a_recalibration_is_told_what_to_do(code: str) -> None:
    problem = read_value("country", code).problem

    assert problem is not None
    assert "195 countries" in problem.en
    assert "clinician must choose" in problem.en
    assert "由医生选定" in problem.zh
