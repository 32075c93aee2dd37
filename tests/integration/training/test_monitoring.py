"""`zhuzhen monitor`: from kept observations to a report and gauges."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from models.findings import Text
from models.institution_names import write_names
from models.observation import (
    BUSY,
    FAILED,
    OBSERVED,
    SHADOW,
    Observation,
    Said,
    folder_of,
    line_of,
    skipped,
)
from serving.metrics import exposition
from tests.package_samples import NAME, write_tiny_package
from training import monitoring_command

TODAY = datetime.now(UTC).date()
VERSION = "1.2.3"


def reading(number: int, institution: str, sharpness: float) -> Observation:
    return Observation(
        at=f"{TODAY}T08:00:00+00:00",
        institution=institution,
        model=NAME,
        version=VERSION,
        verdict="accepted",
        facts={"sharpness": sharpness + number % 13 / 10},
        codes={"modality": "CR"},
        ood_score=0.4 + number % 7 / 50,
        position=(number % 5 - 2.0,),
        said={"pneumonia": Said(number % 11 / 11, "present")},
    )


def keep(kind: str, days_ago: int, observations: list[Observation]) -> None:
    path = folder_of(NAME) / f"{kind}{TODAY - timedelta(days=days_ago)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(map(line_of, observations)), encoding="utf-8")


def run(command: Any, *arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    write_tiny_package(tmp_path / "models" / NAME / VERSION)
    keep(OBSERVED, 20, [reading(n, "a", 5) for n in range(120)])
    now = [reading(n, "a", 5) for n in range(100)] + [reading(n, "b", 6.2) for n in range(100)]
    keep(OBSERVED, 0, now)
    pairs = [replace(each, challenger=replace(each, version="1.3.0")) for each in now[:60]]
    keep(SHADOW, 0, pairs)
    return tmp_path


def test_report_tells_who_moved_and_metrics_show_it(home: Path) -> None:
    status, _, told = run(monitoring_command.report, NAME)
    assert status == 1
    assert (
        f"no reference yet; make one of a period that was looked at, with `zhuzhen monitor "
        f"baseline {NAME}`" in told
    )
    past = str(TODAY - timedelta(days=10))
    assert run(monitoring_command.baseline, NAME, "--until", past)[0] == 0
    status, text, _ = run(monitoring_command.report, NAME, "--json")
    answer = json.loads(text)
    assert status == 0
    alarms = {each["institution"]: each["alarms"] for each in answer["institutions"]}
    assert alarms["a"] == []
    assert alarms["b"] == ["sharpness"]
    (said,) = [each for each in answer["shadow"] if each["what"] == "pneumonia"]
    assert (said["challenger"], said["same"]) == ("1.3.0", 1.0)
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,' in page
    assert "偏离参考" in page
    assert "Until it is explained, let a reader decide without the pre-read" in page
    assert "device, detector, exposure" in page
    assert "设备、探测器、曝光" in page
    assert f"zhuzhen models rollback {NAME}" in page
    # Whoever has little time reads the first one.
    assert page.index("<h2>b: 100 readings") < page.index("<h2>a: 100 readings")
    assert "Kappa 为扣除偶然后的一致性" in page
    metrics = exposition().decode()
    labels = f'institution="b",measure="",model="{NAME}",version="{VERSION}"'
    assert f"zhuzhen_drift_alarms{{{labels}}} 1.0" in metrics
    assert (
        f'zhuzhen_shadow_agreement{{institution="all",measure="pneumonia",model="{NAME}"' in metrics
    )


def test_report_says_who_an_institution_is_and_what_the_shadow_skipped(home: Path) -> None:
    run(monitoring_command.baseline, NAME, "--until", str(TODAY - timedelta(days=10)))
    write_names({"b": Text("Bay County Hospital", "海湾县医院")})
    pair = replace(reading(1, "b", 6.2), challenger=reading(1, "b", 6.2))
    busy, failed = (skipped(reading(n, "b", 6.2), why) for n, why in ((2, BUSY), (3, FAILED)))
    keep(SHADOW, 0, [*[pair] * 60, *[busy] * 15, *[failed] * 5])
    status, text, _ = run(monitoring_command.report, NAME, "--json")
    answer = json.loads(text)
    assert status == 0
    names = {each["institution"]: each["name"]["zh"] for each in answer["institutions"]}
    assert names == {"a": "a", "b": "海湾县医院", "all": "全部机构"}
    assert answer["shadow_read"] == {"read": 60, "skipped": {"busy": 15, "failed": 5}}
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert "<h2>Bay County Hospital 海湾县医院 (b): 100 readings" in page
    assert "Bay County Hospital 海湾县医院 (b): 1" in page
    assert "<h2>All institutions 全部机构: 200 readings" in page
    assert "read along on 60 of 80 inputs (75.0 %)" in page
    assert "共 80 次输入，候选版本判读了 60 次（75.0 %）" in page
    assert "15 came while it was busy with others" in page
    assert "5 次判读失败" in page
    labels = f'institution="all",measure="busy",model="{NAME}",version="{VERSION}"'
    assert f"zhuzhen_shadow_skipped{{{labels}}} 15.0" in exposition().decode()
    told = run(monitoring_command.report, NAME)[1]
    assert "Bay County Hospital 海湾县医院 (b): 100 readings" in told
    assert "shadow: 60 of 80 inputs read" in told


def test_shadow_that_never_kept_up_is_told(home: Path) -> None:
    run(monitoring_command.baseline, NAME, "--until", str(TODAY - timedelta(days=10)))
    keep(SHADOW, 0, [skipped(reading(n, "a", 5), BUSY) for n in range(30)])
    answer = json.loads(run(monitoring_command.report, NAME, "--json")[1])
    assert answer["shadow"] == []
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert "read along on 0 of 30 inputs" in page


def test_trial_counts_alarms_of_both_streams(home: Path) -> None:
    past = str(TODAY - timedelta(days=10))
    run(monitoring_command.baseline, NAME, "--until", past)
    shifted = home / "other-site.jsonl"
    shifted.write_text("".join(line_of(reading(n, "b", 6.2)) for n in range(100)), encoding="utf-8")
    arguments = ("--readings", "50", "--replays", "10", "--json")
    _, text, _ = run(monitoring_command.trial, NAME, str(shifted), *arguments)
    unchanged, moved = (json.loads(line) for line in text.splitlines())
    assert (unchanged["alarms"], moved["alarms"]) == (0, 10)
    # Any file can be held against, such as the same stream itself.
    own = (str(shifted), "--against", str(shifted))
    _, text, _ = run(monitoring_command.trial, NAME, *own, "--readings", "50", "--json")
    assert json.loads(text.splitlines()[0])["alarms"] == 0


def test_too_few_readings_are_not_told_as_good_news(home: Path) -> None:
    past = str(TODAY - timedelta(days=10))
    run(monitoring_command.baseline, NAME, "--until", past)
    keep(OBSERVED, 0, [reading(n, "a", 5) for n in range(20)])
    _, text, _ = run(monitoring_command.report, NAME, "--json")
    page = Path(json.loads(text)["report"]).read_text(encoding="utf-8")
    assert '<div class="verdict few">\nNo institution has readings enough' in page
    assert "Nothing moved away" not in page
    assert "What to do" not in page


def test_few_readings_are_no_reference(home: Path) -> None:
    status, _, told = run(monitoring_command.baseline, NAME, "--until", "2020-01-01")
    assert status == 1
    assert "There are 0 readings" in told
    status, _, told = run(monitoring_command.report, NAME, "--until", "yesterday")
    assert status == 1
    assert "expected a day as YYYY-MM-DD" in told
