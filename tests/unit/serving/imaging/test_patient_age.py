from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from models.radiograph import AgeSource
from serving.imaging.patient_age import (
    OLDEST_YEARS,
    parse_age_string,
    parse_date,
    read_age,
    years_between,
)


def _dataset(age: str | None = None, birth: str | None = None, study: str | None = None) -> Dataset:
    dataset = Dataset()
    for keyword, value in (("PatientAge", age), ("PatientBirthDate", birth), ("StudyDate", study)):
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("value", "years"),
    [
        ("003Y", 3.0),
        ("018M", 1.5),
        ("026W", 26 * 7 / 365.25),
        ("010D", 10 / 365.25),
        ("3Y", 3.0),
        (" 004y ", 4.0),
        ("000Y", 0.0),
        ("1234Y", None),
        ("Y003", None),
        ("003", None),
        ("", None),
        ("-03Y", None),
    ],
)
def test_age_string(value: str, years: float | None) -> None:
    assert parse_age_string(value) == (None if years is None else pytest.approx(years))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260229", None),
        ("20240229", date(2024, 2, 29)),
        ("1994.06.01", date(1994, 6, 1)),
        ("19940601-19950601", None),
        ("000000", None),
        ("00000101", None),
    ],
)
def test_date(value: str, expected: date | None) -> None:
    assert parse_date(value) == expected


DATES = st.dates(date(1880, 1, 1), date(2100, 1, 1))


@given(DATES, st.integers(0, 120))
def test_age_is_whole_on_birthdays_only(birth: date, years: int) -> None:
    birthday = date(birth.year + years, birth.month, min(birth.day, 28))
    birth = birth.replace(day=birthday.day)

    assert years_between(birth, birthday) == years
    assert years_between(birth, birthday + timedelta(1)) > years
    if years:
        assert years - 0.01 < years_between(birth, birthday - timedelta(1)) < years


@given(DATES, st.integers(0, 40_000))
def test_age_agrees_with_the_mean_length_of_a_year(birth: date, days: int) -> None:
    assert years_between(birth, birth + timedelta(days)) == pytest.approx(days / 365.25, abs=0.01)


def test_leap_day_birthday_is_on_the_first_of_march() -> None:
    born = date(2020, 2, 29)

    assert years_between(born, date(2021, 2, 28)) < 1
    assert years_between(born, date(2021, 3, 1)) == 1


def test_stated_age_is_preferred() -> None:
    reading = read_age(_dataset("003Y", "20200101", "20230601"))

    assert (reading.years, reading.source) == (3.0, AgeSource.PATIENT_AGE)
    assert reading.remarks == ()


def test_age_is_reckoned_where_it_is_not_stated() -> None:
    reading = read_age(_dataset(birth="19400305", study="20040826"))

    assert reading.years == pytest.approx(64.48, abs=0.01)
    assert reading.source is AgeSource.BIRTH_AND_STUDY_DATE


@pytest.mark.parametrize(
    ("age", "remark"),
    [
        ("000Y", "is zero"),
        ("999Y", "above any human life"),
        ("12", "not an age string"),
    ],
)
def test_absurd_age_gives_way_to_dates_with_a_remark(age: str, remark: str) -> None:
    dataset = Dataset()
    dataset.add_new("PatientAge", "LO", age)
    dataset.PatientBirthDate, dataset.StudyDate = "20200101", "20230101"

    reading = read_age(dataset)

    assert (reading.years, reading.source) == (3.0, AgeSource.BIRTH_AND_STUDY_DATE)
    assert remark in reading.remarks[0].en


@pytest.mark.parametrize(
    ("birth", "study", "remark"),
    [
        ("20230101", "20220101", "before Patient's Birth Date"),
        ("18000101", "20220101", "than any human life"),
        ("20229999", "20230101", "not a date of the calendar"),
    ],
)
def test_absurd_dates_give_no_age(birth: str, study: str, remark: str) -> None:
    dataset = Dataset()
    dataset.add_new("PatientBirthDate", "LO", birth)
    dataset.add_new("StudyDate", "LO", study)

    reading = read_age(dataset)

    assert reading.years is None
    assert reading.source is None
    assert remark in reading.remarks[0].en


def test_contradiction_is_remarked() -> None:
    reading = read_age(_dataset("040Y", "20200101", "20230101"))

    assert reading.years == 40.0
    assert "disagrees" in reading.remarks[0].en


def test_missing_facts_need_no_remark() -> None:
    reading = read_age(_dataset())

    assert (reading.years, reading.source, reading.remarks) == (None, None, ())


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_no_text_makes_it_fail_or_leak(age: str, birth: str, study: str) -> None:
    dataset = Dataset()
    for keyword, value in (("PatientAge", age), ("PatientBirthDate", birth), ("StudyDate", study)):
        dataset.add_new(keyword, "LO", value)

    reading = read_age(dataset)

    assert reading.years is None or 0 <= reading.years <= OLDEST_YEARS
