"""`zhuzhen risk list|show|score`, as a system or a person calls them."""

import json

import pytest
from typer.testing import CliRunner

from models.risk.registry import ENABLED_SETTING, SCORES
from serving.cli.app import app
from tests.unit.models.risk.risk_samples import person_of

RUNNER = CliRunner()


def test_list_says_why_a_score_is_off() -> None:
    lines = RUNNER.invoke(app, ["risk", "list", "--json"]).stdout.splitlines()
    told = {entry["id"]: entry for entry in map(json.loads, lines)}
    assert set(told) == set(SCORES)
    assert told["china-par"]["enabled"]
    assert told["china-par"]["off_because"] is None
    assert not told["prevent"]["enabled"]
    assert "licence" in told["prevent"]["off_because"]["en"]


@pytest.mark.parametrize("score_id", sorted(SCORES))
def test_show_tells_population_terms_and_verification(score_id: str) -> None:
    shown = RUNNER.invoke(app, ["risk", "show", score_id])
    assert shown.exit_code == 0
    for part in ("适用人群", "Terms", "Verified", SCORES[score_id].version):
        assert part in shown.stdout


def test_score_answers_in_one_line_of_json() -> None:
    person = json.dumps(person_of("china-par"), ensure_ascii=False)
    run = RUNNER.invoke(app, ["risk", "score", "china-par", "--json", person])
    assert run.exit_code == 0, run.output
    answer = json.loads(run.stdout)
    assert answer["status"] == "ok"
    assert answer["unit"] == "%"
    assert answer["category"]["label"]["zh"] in ("低危", "中危", "高危")
    assert answer["refusals"] == []


def test_score_tells_every_missing_input() -> None:
    run = RUNNER.invoke(app, ["risk", "score", "who-cvd-nonlab", "--json", '{"age": 50}'])
    assert run.exit_code == 0
    answer = json.loads(run.stdout)
    assert answer["value"] is None
    assert {one["input"] for one in answer["refusals"]} == {
        "sex",
        "country",
        "sbp_mmhg",
        "current_smoker",
        "bmi_kg_m2",
    }


def test_person_reads_the_answer_in_chinese() -> None:
    person = json.dumps(person_of("ncdrs"))
    run = RUNNER.invoke(app, ["risk", "score", "ncdrs", "--person", person])
    assert run.exit_code == 0
    assert "中国糖尿病风险评分" in run.stdout
    assert "未经医疗器械注册审批" in run.stdout


def test_score_that_is_off_must_be_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    person = json.dumps(person_of("prevent"))
    refused = RUNNER.invoke(app, ["risk", "score", "prevent", "--json", person])
    assert refused.exit_code != 0
    assert ENABLED_SETTING in str(refused.exception)
    monkeypatch.setenv(ENABLED_SETTING, "prevent")
    assert RUNNER.invoke(app, ["risk", "score", "prevent", "--json", person]).exit_code == 0


@pytest.mark.parametrize(
    "written", ["", "[]", "{", '{"age": 1, "age": 2}', '{"agee": 1}', "[" * 9999]
)
def test_what_is_no_person_is_refused(written: str) -> None:
    run = RUNNER.invoke(app, ["risk", "score", "china-par", "--json", written])
    assert run.exit_code != 0
    assert run.stdout == ""
