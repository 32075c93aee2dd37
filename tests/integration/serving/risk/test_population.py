"""Tables of people: every row in its place, with a number or a reason, whatever happens."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from models.risk.assessment import assess, read_person
from models.risk.registry import find
from serving.risk import table_files
from serving.risk.known import read_known
from serving.risk.population import score_file
from serving.risk.table_files import PART_ROWS, TableFileError
from tests.risk_samples import VILLAGER

CHINA_PAR = find("china-par")


def people(count: int, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    waist = draw.normal(85, 9, count).round(1)
    return pa.table(
        {
            "id": np.arange(count),
            "age_years": draw.integers(25, 90, count),
            "sex": draw.choice(["male", "female", "男"], count),
            "sbp_mmhg": draw.normal(135, 18, count).round(),
            "total_cholesterol_mmol_l": draw.normal(4.9, 0.9, count).round(2),
            "hdl_cholesterol_mmol_l": draw.normal(1.3, 0.2, count).round(2),
            "waist_cm": pa.array(waist, mask=draw.random(count) < 0.1),
            "current_smoker": draw.random(count) < 0.3,
            "diabetes": draw.random(count) < 0.1,
            "antihypertensive_treatment": draw.random(count) < 0.2,
            "region_of_china": draw.choice(["north", "south"], count),
            "residence": draw.choice(["urban", "rural"], count),
            "family_history_ascvd": draw.random(count) < 0.1,
        }
    )


def test_each_row_is_what_a_single_person_gets(tmp_path: Path) -> None:
    table = people(400)
    pa.parquet.write_table(table, tmp_path / "in.parquet")

    score_file(CHINA_PAR, tmp_path / "in.parquet", tmp_path / "out.parquet")

    out = pa.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in out] == list(range(400))
    for row, sent in zip(out, table.to_pylist(), strict=True):
        sent.pop("id")
        alone = assess(CHINA_PAR, read_person(sent, CHINA_PAR))
        assert row["status"] == alone.status.word
        assert row["value"] == alone.value
        assert row["category"] == (alone.category.name if alone.category else None)
        assert (row["reason"] is None) == (alone.status.word == "ok")


def test_text_stays_as_it_was_and_what_is_no_number_says_so(tmp_path: Path) -> None:
    rows = [
        {**VILLAGER, "name": '张三, "甲"', "sbp_mmhg": "145.0"},
        {**VILLAGER, "name": "b", "sbp_mmhg": "high"},
        {**VILLAGER, "name": "c", "sbp_mmhg": ""},
        {**VILLAGER, "name": "d", "sbp_mmhg": "1450"},
        {**VILLAGER, "name": "e", "age_years": "17"},
        {**VILLAGER, "name": "f", "age_years": "78"},
    ]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    summary = score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "out.csv", language="zh")

    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        out = list(csv.DictReader(file))
    assert [row["name"] for row in out] == [row["name"] for row in rows]
    assert [row["sbp_mmhg"] for row in out] == [str(row["sbp_mmhg"]) for row in rows]
    assert [row["status"] for row in out] == [
        "ok",
        "not_understood",
        "missing",
        "implausible",
        "out_of_population",
        "extrapolated",
    ]
    assert [bool(row["value"]) for row in out] == [True, False, False, False, False, True]
    assert all("收缩压" in row["reason"] for row in out[1:4])
    assert summary.refusals == {
        "not_understood:sbp_mmhg": 1,
        "missing:sbp_mmhg": 1,
        "implausible:sbp_mmhg": 1,
        "out_of_population:age_years": 1,
    }


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_parts_are_joined_in_order_and_summed_up(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "PART_ROWS", 100)
    pa.parquet.write_table(people(1_050), tmp_path / "in.parquet")

    summary = score_file(CHINA_PAR, tmp_path / "in.parquet", tmp_path / f"out.{ending}")

    if ending == "csv":
        with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
            ids = [int(row["id"]) for row in csv.DictReader(file)]
    else:
        ids = pa.parquet.read_table(tmp_path / "out.parquet").column("id").to_pylist()
    assert ids == list(range(1_050))
    assert summary.people == 1_050
    assert sum(summary.statuses.values()) == 1_050
    assert sum(summary.categories.values()) == summary.scored
    assert sum(summary.refusals.values()) == 1_050 - summary.scored
    assert not list(tmp_path.glob(".*.parts"))


@pytest.mark.slow
def test_a_killed_run_goes_on_behind_its_parts(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pa.parquet.write_table(people(4 * PART_ROWS + 7), source)
    command = [str(Path(sys.executable).with_name("zhuzhen")), "risk", "batch", "china-par"]
    parts = tmp_path / ".out.parquet.parts"
    with subprocess.Popen([*command, source, target], stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while not list(parts.glob("*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGKILL)
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert kept
    assert not target.exists()
    done = subprocess.run(
        [*command, source, target, "--json"], capture_output=True, text=True, check=True
    )

    summary = json.loads(done.stdout)
    assert summary["people"] == 4 * PART_ROWS + 7
    ids = pa.parquet.read_table(target, columns=["id"]).column("id").to_numpy()
    assert (ids == np.arange(len(ids))).all()
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.csv", "", "no rows|readable"),
        ("in.csv", "age_years\n", "no rows"),
        ("in.csv", "age_years,value\n60,1\n", "already has a column value"),
        ("in.csv", "age_years,age\n60,60\n", "Two columns"),
        ("in.csv", "a,a\n1,2\n", "same name"),
        ("in.parquet", "nonsense", "not a readable table"),
        ("in.xlsx", "x", "expected .csv"),
    ],
)
def test_tables_that_cannot_be_used_are_told(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(TableFileError, match=told):
        score_file(CHINA_PAR, tmp_path / name, tmp_path / "out.csv")


def test_input_and_output_must_differ(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("age_years\n60\n", encoding="utf-8")

    with pytest.raises(TableFileError, match="overwrite"):
        score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "in.csv")
    with pytest.raises(TableFileError, match="does not exist"):
        score_file(CHINA_PAR, tmp_path / "none.csv", tmp_path / "out.csv")


CHINESE = (
    "姓名,年龄,性别,收缩压（mmHg）,总胆固醇(mg/dL),高密度脂蛋白胆固醇,腰围,现在吸烟,糖尿病,服用降压药,城乡,南北方,父母或兄弟姐妹患心脑血管病\r\n"
    "张三,60,男,145,200,1.1,92,是,否,1,农村,北方,无\r\n"
    "李四,60,1,145.0,200,1.1,92,TRUE,0.0,是,rural,north,0\r\n"
    "王五,６０,M,,200,1.1,92,1,0,1,农村,北方,0\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_what_spreadsheets_in_chinese_save_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "in.csv").write_bytes(CHINESE.encode(encoding))

    score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "out.csv", language="zh")

    written = (tmp_path / "out.csv").read_bytes()
    # Without the mark, the spreadsheet that saved the file would take UTF-8 for GBK.
    assert written.startswith(b"\xef\xbb\xbf") == (encoding != "utf-8")
    rows = list(csv.DictReader(written.decode("utf-8-sig").splitlines()))
    assert [row["姓名"] for row in rows] == ["张三", "李四", "王五"]
    same = {**VILLAGER, "total_cholesterol_mmol_l": {"value": 200, "unit": "mg/dL"}}
    expected = assess(CHINA_PAR, read_person(same, CHINA_PAR)).value
    assert [float(row["value"]) for row in rows[:2]] == pytest.approx([expected, expected])
    assert rows[2]["status"] == "missing"
    assert "收缩压" in rows[2]["reason"]


def test_a_unit_in_a_heading_that_does_not_fit_is_told(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("收缩压（kg）,年龄\n145,60\n", encoding="utf-8")

    with pytest.raises(TableFileError, match="sbp_mmhg names a unit"):
        score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "out.csv")


def test_semicolons_and_tabs_divide_columns_as_well(tmp_path: Path) -> None:
    for mark in ";\t":
        rows = [mark.join(VILLAGER), mark.join(map(str, VILLAGER.values()))]
        (tmp_path / "in.csv").write_text("\n".join(rows), encoding="utf-8")

        summary = score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "out.csv")

        assert summary.statuses == {"ok": 1}


def test_what_holds_for_everybody_fills_what_is_absent(tmp_path: Path) -> None:
    told = {name: str(value) for name, value in VILLAGER.items() if name != "region_of_china"}
    (tmp_path / "in.csv").write_text(
        ",".join(told) + "\n" + ",".join(told.values()) + "\n", encoding="utf-8"
    )

    without = score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "a.csv")
    known = read_known(["region_of_china=north"])
    stated = score_file(CHINA_PAR, tmp_path / "in.csv", tmp_path / "b.csv", known=known)

    assert without.refusals == {"missing:region_of_china": 1}
    assert stated.statuses == {"ok": 1}
