"""The patient's age at the study, from whichever element of the header can be trusted."""

import re
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from models.radiograph import AgeSource
from models.text import Text
from serving.imaging.dicom_values import is_filled, text

_AGE_STRING = re.compile(r"(\d{1,3})([DWMY])")
"""Value representation AS (PS3.5 6.2): three digits and a unit; fewer digits are tolerated."""
_UNITS_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
"""Value representation DA (PS3.5 6.2), and its form with dots from before DICOM 3.0."""

OLDEST_YEARS = 125.0
"""No verified human life was longer; an age above it is a mistake in the header."""
_TOLERATED_DIFFERENCE_YEARS = 1.5
"""PatientAge is rounded down to its unit, and may date from the admission."""


_AGE = Text("Patient's Age (0010,1010)", "患者年龄 (0010,1010)")
_BIRTH_DATE = Text("Patient's Birth Date (0010,0030)", "出生日期 (0010,0030)")
_STUDY_DATE = Text("Study Date (0008,0020)", "检查日期 (0008,0020)")
_AGES_DISAGREE = Text(
    f"{_AGE.en} disagrees with {_BIRTH_DATE.en} and {_STUDY_DATE.en}; Patient's Age was used.",
    f"{_AGE.zh}与{_BIRTH_DATE.zh}、{_STUDY_DATE.zh}不符，已采用患者年龄。",
)


@dataclass(frozen=True, slots=True)
class AgeReading:
    """Age in years with its source, or neither, and what was wrong with the header."""

    years: float | None
    source: AgeSource | None
    remarks: tuple[Text, ...]


def read_age(dataset: Dataset) -> AgeReading:
    """The age from Patient's Age (0010,1010), else from birth and study dates.

    An age of zero counts as not given: modalities write 000Y where it was not entered.
    """
    remarks: list[Text] = []
    stated = _stated_age(dataset, remarks)
    reckoned = _reckoned_age(dataset, remarks)
    if stated is not None:
        if reckoned is not None and abs(stated - reckoned) > _TOLERATED_DIFFERENCE_YEARS:
            remarks.append(_AGES_DISAGREE)
        return AgeReading(stated, AgeSource.PATIENT_AGE, tuple(remarks))
    source = None if reckoned is None else AgeSource.BIRTH_AND_STUDY_DATE
    return AgeReading(reckoned, source, tuple(remarks))


def parse_age_string(value: str) -> float | None:
    """Years of an age string such as `018M`, `None` where it is not one."""
    match = _AGE_STRING.fullmatch(value.strip().upper())
    if match is None:
        return None
    return int(match[1]) / _UNITS_PER_YEAR[match[2]]


def parse_date(value: str) -> date | None:
    """The date of a DA value, `None` where it is not a date of the calendar."""
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def years_between(birth: date, day: date) -> float:
    """Completed years, and of the year begun the fraction that has passed.

    Whole on each birthday, so that a rule on age does not turn a day early or late.
    """
    years = day.year - birth.year
    if _birthday(birth, birth.year + years) > day:
        years -= 1
    last = _birthday(birth, birth.year + years)
    following = _birthday(birth, birth.year + years + 1)
    return years + (day - last) / (following - last)


def _birthday(birth: date, year: int) -> date:
    """The birthday in `year`; 1 March for those born on 29 February, in other years."""
    try:
        return birth.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _not_used(name: Text, why: Text) -> Text:
    return Text(f"{name.en} {why.en}; not used.", f"{name.zh}{why.zh}，未采用。")


def _stated_age(dataset: Dataset, remarks: list[Text]) -> float | None:
    value = text(dataset, "PatientAge")
    if value is None:
        return None
    years = parse_age_string(value)
    if years is None:
        remarks.append(_not_used(_AGE, Text("is not an age string (PS3.5 AS)", "格式无效")))
        return None
    if years == 0:
        zero = Text("is zero, as where none was entered", "为零，视为未填写")
        remarks.append(_not_used(_AGE, zero))
        return None
    if years > OLDEST_YEARS:
        remarks.append(_not_used(_AGE, Text("is above any human life", "超出人类寿命")))
        return None
    return years


def _reckoned_age(dataset: Dataset, remarks: list[Text]) -> float | None:
    birth = _read_date(dataset, "PatientBirthDate", _BIRTH_DATE, remarks)
    study = _read_date(dataset, "StudyDate", _STUDY_DATE, remarks)
    if birth is None or study is None:
        return None
    if study < birth:
        early = Text(f"is before {_BIRTH_DATE.en}", f"早于{_BIRTH_DATE.zh}")
        remarks.append(_not_used(_STUDY_DATE, early))
        return None
    if study.year - birth.year > OLDEST_YEARS:
        long_ago = Text(
            f"is longer before {_STUDY_DATE.en} than any human life",
            f"距{_STUDY_DATE.zh}超出人类寿命",
        )
        remarks.append(_not_used(_BIRTH_DATE, long_ago))
        return None
    return years_between(birth, study)


def _read_date(dataset: Dataset, keyword: str, name: Text, remarks: list[Text]) -> date | None:
    value = text(dataset, keyword)
    if value is None:
        if is_filled(dataset, keyword):
            remarks.append(_not_used(name, Text("cannot be read", "无法读取")))
        return None
    day = parse_date(value)
    if day is None:
        remarks.append(
            _not_used(name, Text("is not a date of the calendar (PS3.5 DA)", "日期无效"))
        )
    return day
