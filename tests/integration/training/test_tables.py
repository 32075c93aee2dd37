"""From YAML and CSV to a model of people that answers, without touching code."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.errors import DataError, OtherKindError, PackageTamperedError
from models.findings import Verdict
from models.package import CALIBRATION, CARD, EVALUATION, ModelPackage
from models.table import Given
from serving.cli.app import app
from serving.people import TabularModel
from tests.toy_people import write_toy_people
from tests.training_samples import Quiet
from training.config import load_any_config
from training.pipeline import Places
from training.registry import Registry
from training.tables.config import TableConfig
from training.tables.people import read_people
from training.tables.pipeline import run_table

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
PERSON: dict[str, Given] = {"age_years": 60, "sex": "male", "sbp_mmhg": 150}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    data = tmp_path_factory.mktemp("data")
    write_toy_people(data)
    home = tmp_path_factory.mktemp("home")
    return Places(data, home, home / "models")


def config_of(places: Places) -> TableConfig:
    config = load_any_config(str(places.data / "toy-risk.yaml"))
    assert isinstance(config, TableConfig)
    return config


@pytest.fixture(scope="module")
def package(places: Places) -> ModelPackage:
    return run_table(config_of(places), places, Quiet())


@pytest.fixture
def model(package: ModelPackage) -> TabularModel:
    return TabularModel(package)


def test_contributions_are_exact(model: TabularModel) -> None:
    (risk,) = model.assess(PERSON).risks
    added = sum(each.log_odds for each in risk.contributions)
    assert risk.baseline_log_odds + added == pytest.approx(risk.log_odds, abs=1e-5)
    assert [each.name for each in risk.contributions] == ["age_years", "sex", "sbp_mmhg"]
    assert all(each.log_odds > 0 for each in risk.contributions)


def test_higher_age_means_higher_risk_and_what_is_missing_adds_nothing(
    model: TabularModel,
) -> None:
    younger, older = (model.assess({**PERSON, "age_years": age}).risks[0] for age in (30, 80))
    assert older.probability > younger.probability + 0.3
    without = model.assess({"age_years": 60, "sex": "M"})
    assert without.missing == ("sbp_mmhg",)
    assert without.risks[0].contributions[2].log_odds == pytest.approx(0, abs=1e-6)


def test_other_names_and_units_give_the_same(model: TabularModel) -> None:
    plain = model.assess(PERSON).risks[0].probability
    renamed: dict[str, Given] = {"age_years": "60", "sex": "男", "pressure": "150"}
    assert model.assess(renamed).risks[0].probability == pytest.approx(plain)
    in_kpa: dict[str, Given] = {"age_years": 60, "sex": "M", "sbp_kpa": 150 / 7.50062}
    assert model.assess(in_kpa).risks[0].probability == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "verdict", "told"),
    [
        ({"age_years": None}, Verdict.UNREADABLE, "age_years must be given"),
        ({"sbp_mmhg": 1500}, Verdict.UNREADABLE, "sbp_mmhg is outside 40 to 300 mm[Hg]"),
        ({"sbp_mmhg": "high"}, Verdict.UNREADABLE, "sbp_mmhg is not a number"),
        ({"sex": "X"}, Verdict.UNREADABLE, "expected F or M"),
        ({"age_years": 10}, Verdict.OUTSIDE_INTENDED_USE, "age 10 years"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    model: TabularModel, changed: dict[str, Given], verdict: Verdict, told: str
) -> None:
    assessment = model.assess({**PERSON, **changed})
    assert (assessment.verdict, assessment.risks) == (verdict, ())
    assert told in assessment.reasons[0].message.en


def test_evaluation_has_sites_intervals_and_provenance(package: ModelPackage) -> None:
    evaluation = json.loads((package.root / EVALUATION).read_text(encoding="utf-8"))
    figures = evaluation["test"]["figures"]
    assert 0.75 < figures["auc"]["low"] <= figures["auc"]["value"] <= figures["auc"]["high"] <= 1
    assert evaluation["sites"].keys() == {"north", "south"}
    assert evaluation["sites"]["south"]["unseen"]["auc"]["value"] > 0.7
    assert evaluation["provenance"]["data"]["manifest_digest"].startswith("sha256:")
    card = (package.root / CARD).read_text(encoding="utf-8")
    assert "When the site is another" in card
    measured = evaluation["test"]
    area = measured["subgroups"]["north"]["auc"]["value"]
    # One row for each group: a column for each was wider than any page.
    (row,) = [line for line in card.splitlines() if line.startswith("| north |") and "%" not in line
              and line.count("|") == 9]  # fmt: skip
    assert row.startswith(f"| north | {measured['subgroups']['north']['images']} | ")
    assert f" {area:.3f} (" in row
    assert "![What each input adds to the log-odds" in card
    assert "虚构疾病" in card


def test_same_configuration_gives_the_same_graph(
    places: Places, package: ModelPackage, tmp_path: Path
) -> None:
    again = run_table(config_of(places), Places(places.data, tmp_path, tmp_path / "out"), Quiet())
    assert again.onnx_path.read_bytes() == package.onnx_path.read_bytes()


def test_predict_answers_for_each_row_of_a_table(
    places: Places, package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(places.home))
    table = tmp_path / "people.csv"
    table.write_text("age_years,sex,sbp_mmhg\n60,M,150\n45,F,\nold,F,120\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["predict", "toy-risk", str(table), "--json"])
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["verdict"] for answer in answers] == ["accepted", "accepted", "unreadable"]
    assert answers[0]["findings"][0]["label"] == "toy_disease"
    assert answers[0]["digest"] == package.reference_to.digest
    assert answers[1]["missing"] == ["sbp_mmhg"]
    shown = CliRunner().invoke(app, ["predict", "toy-risk", str(table)])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("p3,", ",", "number must not be empty"),
        (",yes", ",perhaps", "'perhaps' is not in the description"),
        ("p5,north,", "p5,north,x", "age_years is not a number"),
        ("p6,south,", "p6,south,9", "age_years is outside"),
    ],
)
def test_bad_row_stops_the_training_and_is_named(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    configuration = load_any_config(str(write_toy_people(tmp_path, 40)))
    assert isinstance(configuration, TableConfig)
    table = tmp_path / "toy_people" / "people.csv"
    text = table.read_text(encoding="utf-8")
    assert before in text
    table.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(DataError, match=told):
        read_people(configuration, tmp_path)


def test_package_of_people_takes_no_image(package: ModelPackage) -> None:
    with pytest.raises(OtherKindError, match="takes named inputs"):
        _ = package.input_spec


def test_tampered_package_is_not_loaded(package: ModelPackage, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package.root, copy)
    (copy / CALIBRATION).write_text("{}", encoding="utf-8")
    with pytest.raises(PackageTamperedError, match=r"calibration\.json has SHA-256"):
        ModelPackage.load(copy)


def test_version_that_is_used_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ZHUZHEN_DATA", raising=False)
    configuration = write_toy_people(tmp_path)
    train = ["train", str(configuration), "--json"]
    first = json.loads(CliRunner().invoke(app, train).stdout)
    table = tmp_path / "toy_people" / "people.csv"
    with table.open("a", encoding="utf-8") as stream:
        stream.write("p900,north,44,F,120,no\n")
    # A draft is written over, until somebody promotes it.
    second = json.loads(CliRunner().invoke(app, train).stdout)
    assert second["digest"] != first["digest"]
    done = CliRunner().invoke(app, ["models", "pull", "toy-risk", "--alias", "challenger"])
    assert done.exit_code == 0, done.output
    with table.open("a", encoding="utf-8") as stream:
        stream.write("p901,north,64,M,150,yes\n")
    refused = CliRunner().invoke(app, train)
    assert refused.exit_code == 1
    assert "toy-risk 0.1.0 is used already and was made of another manifest" in refused.stderr
    kept = ModelPackage.load(tmp_path / "home" / "models" / "toy-risk" / "0.1.0")
    assert kept.reference_to.digest == second["digest"]


def test_new_version_of_a_released_model_without_a_champion_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    configuration = tmp_path / "next.yaml"
    configuration.write_text("extends: coronary-disease\nversion: 9.0.0\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["train", str(configuration), "--json"])
    assert done.exit_code == 0, done.output
    told = " ".join(done.stderr.split())
    version = load_any_config("coronary-disease").version
    assert "the registry has no champion of coronary-disease" in told
    assert f"`zhuzhen models register coronary-disease@{version}`" in told
    # Before it is fitted, not when hours are over.
    assert told.index("no champion") < told.index("fitting")


def test_training_a_released_version_again_says_that_it_is_for_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["train", "coronary-disease", "--json"])
    assert done.exit_code == 0, done.output
    version = load_any_config("coronary-disease").version
    told = " ".join(done.stderr.split())
    assert f"{version} is released: what is made now can be compared" in told
    assert "no champion" not in told
    digest = json.loads(done.stdout)["digest"]
    done = CliRunner().invoke(app, ["models", "promote", "coronary-disease"])
    assert done.exit_code == 1
    assert f"registered was {digest}" in " ".join(done.stderr.split())
    assert Registry(tmp_path).champion("coronary-disease") is None
