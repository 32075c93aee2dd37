"""`zhuzhen risk recalibrate`: from a cohort to a package that answers at every door."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from models import store
from models.errors import PackageTamperedError
from models.package import CARD
from models.risk.assessment import assess, read_person
from models.risk.registry import SCORES, all_usable, find
from serving.cli.app import app
from serving.risk.answers import answer_of
from serving.risk.population import score_file
from tests.cohort_samples import MadeUp, made_up_cohort
from tests.risk_samples import VILLAGER
from training import release_command
from training.recalibration.command import recalibrate
from training.registry import Registry, open_client

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

NAME = "china-par-testville"
INTERCEPT, SLOPE = 0.45, 0.8


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose registry was migrated once, which takes most of a test's time."""
    folder = tmp_path_factory.mktemp("home")
    open_client(folder).search_experiments()
    return folder


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_HOME", str(home))


@pytest.fixture(scope="module")
def cohort() -> MadeUp:
    return made_up_cohort(
        "china-par", INTERCEPT, SLOPE, 9_000, lost_per_year=0.04, dead_per_year=0.005
    )


def written(table: pd.DataFrame, folder: Path, ending: str = "parquet") -> Path:
    path = folder / f"cohort.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return path


def run(command: Any, *arguments: str) -> tuple[int, str, str]:
    one = typer.Typer()
    one.command()(command)
    done = CliRunner().invoke(one, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def order(path: Path, *more: str, name: str = NAME, score: str = "china-par") -> tuple[str, ...]:
    who = ("--cohort", "Testville health checks", "--cohort-zh", "测试镇体检人群", "--by", "Li Wei")
    return (score, str(path), "--outcome", "event", "--name", name, *who, "--json", *more)


@pytest.fixture(scope="module")
def made(home: Path, cohort: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = written(cohort.table, tmp_path_factory.mktemp("cohort"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZHUZHEN_HOME", str(home))
        status, told, problem = run(recalibrate, *order(path, "--time", "years"))
    assert status == 0, problem
    answer: dict[str, Any] = json.loads(told)
    return answer


def test_the_known_shift_is_found_from_censored_follow_up(made: dict[str, Any]) -> None:
    found = made["evaluation"]["fit"]["coefficients"]
    for name, true in (("intercept", INTERCEPT), ("slope", SLOPE)):
        assert found[name]["low"] < true < found[name]["high"]
    assert found["slope"]["high"] - found["slope"]["low"] < 0.35
    before, after = (made["evaluation"]["held_out"][when] for when in ("before", "after"))
    assert before["observed_to_expected"]["low"] > 1.5
    assert after["observed_to_expected"]["low"] < 1 < after["observed_to_expected"]["high"]
    assert after["slope"]["low"] < 1 < after["slope"]["high"]
    assert after["auc"]["value"] == pytest.approx(before["auc"]["value"], abs=1e-9)
    assert after["brier"]["value"] < before["brier"]["value"]


def test_it_answers_under_its_own_name_and_the_published_score_as_before(
    made: dict[str, Any], cohort: MadeUp
) -> None:
    person = {name: value for name, value in VILLAGER.items() if name != "country"}
    score, published = find(NAME), SCORES["china-par"]
    local, plain = (assess(one, read_person(person, one)) for one in (score, published))
    assert local.value is not None
    assert plain.value is not None
    found = made["evaluation"]["fit"]["coefficients"]
    predictor = np.log(-np.log1p(-plain.value / 100))
    moved = found["intercept"]["value"] + found["slope"]["value"] * predictor
    assert local.value == pytest.approx(-100 * np.expm1(-np.exp(moved)))
    assert "Recalibrated locally on" in local.remarks[0].en
    assert f"{plain.value:.1f} %" in local.remarks[0].en
    assert "Li Wei" in local.remarks[0].zh
    answer = answer_of(local)
    assert answer["score"] == NAME
    assert answer["recalibration"]["digest"] == made["digest"]
    assert answer["recalibration"]["cohort"]["zh"] == "测试镇体检人群"
    assert answer_of(plain)["recalibration"] is None
    # What inputs add is stretched by the slope, and what-ifs are of the recalibrated risk.
    shares = {one.input: one.amount for one in plain.contributions}
    for one in local.contributions:
        assert one.amount == pytest.approx(found["slope"]["value"] * shares[one.input], abs=1e-6)
    assert all(one.value < local.value for one in local.what_ifs)
    assert [score.id for score in all_usable()][-1] == NAME


def test_every_door_of_the_command_line_knows_it(made: dict[str, Any], tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["risk", "list", "--json"]).stdout.splitlines()
    assert NAME in {json.loads(line)["id"] for line in listed}
    assert "Testville" in runner.invoke(app, ["risk", "show", NAME]).stdout
    person = json.dumps(VILLAGER | {"country": None})
    told = runner.invoke(app, ["risk", "score", f"{NAME}@1.0.0", "--json", person])
    assert json.loads(told.stdout)["recalibration"]["version"] == "1.0.0"
    told = runner.invoke(app, ["models", "verify", "--json", f"{NAME}@1.0.0"])
    assert json.loads(told.stdout)["digest"] == made["digest"]
    told = runner.invoke(app, ["models", "show", NAME])
    assert "zhuzhen risk show" in str(told.exception)
    table = pd.DataFrame([VILLAGER] * 3).drop(columns="country")
    score_file(find(NAME), written(table, tmp_path), tmp_path / "out.parquet")
    out = pd.read_parquet(tmp_path / "out.parquet")
    person_score = assess(find(NAME), read_person(VILLAGER, find(NAME))).value
    assert out["value"].tolist() == pytest.approx([person_score] * 3)


def test_the_package_tells_whence_and_shows_both_calibrations(made: dict[str, Any]) -> None:
    folder = Path(made["folder"])
    card = (folder / CARD).read_text(encoding="utf-8")
    for part in ("## Performance before and after", "Li Wei", "测试镇体检人群", "Not cleared"):
        assert part in card
    assert (folder / "docs" / "calibration.png").stat().st_size > 10_000
    data = made["evaluation"]["provenance"]
    assert data["data"]["digest"].startswith("sha256:")
    assert data["code"]["commit"]
    runs = Registry(store.home()).versions(NAME)
    assert [(each.version, each.digest) for each in runs] == [("1.0.0", made["digest"])]


def test_a_changed_file_takes_it_out_of_service(made: dict[str, Any]) -> None:
    folder = Path(made["folder"])
    kept = (folder / "recalibration.json").read_bytes()
    (folder / "recalibration.json").write_bytes(kept.replace(b'"slope": 0.', b'"slope": 1.'))
    (folder.parent / "touched").touch()  # the store has changed
    try:
        with pytest.raises(PackageTamperedError, match=r"recalibration\.json has SHA-256"):
            find(NAME)
        assert NAME not in {score.id for score in all_usable()}
        assert find("china-par") is SCORES["china-par"]
    finally:
        (folder / "recalibration.json").write_bytes(kept)
        (folder.parent / "touched").unlink()
    assert find(NAME).recalibration is not None


def test_the_next_version_answers_when_it_is_promoted_and_can_be_rolled_back(
    made: dict[str, Any], cohort: MadeUp, tmp_path: Path
) -> None:
    def promote() -> tuple[int, list[dict[str, Any]]]:
        status, told, problem = run(release_command.promote, NAME, "--json")
        assert told, problem
        return status, json.loads(told)["gate"]

    assert promote()[0] == 0
    later = made_up_cohort("china-par", INTERCEPT - 0.3, SLOPE, 6_000, seed=9)
    path = written(later.table.query("years <= 10 or event == 0"), tmp_path)
    status, told, problem = run(recalibrate, *order(path))
    assert status == 0, problem
    assert json.loads(told)["version"] == "1.1.0"
    assert find(NAME).version.startswith("1.0.0")
    status, gate = promote()
    assert status == 0, gate
    assert {each["test"] for each in gate} >= {"no worse than the champion", "calibration", "card"}
    assert find(NAME).version.startswith("1.1.0")
    assert run(release_command.rollback, NAME)[0] == 0
    assert find(NAME).version.startswith("1.0.0")


def without_events(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["event"] != 1) | (table.index % 24 == 0)]


def noise(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(event=np.random.default_rng(1).permutation(table["event"] == 1).astype(int))


REFUSED = [
    ("too few events", without_events, ("--time", "years"), "had the event within 10 years"),
    ("no order", noise, (), "does not surely order these people"),
    ("no column", lambda t: t.drop(columns="sbp_mmhg"), (), "does not have: sbp_mmhg"),
    ("short", lambda t: t.assign(years=t["years"].clip(upper=6)), ("--time", "years"), "Nobody"),
    ("words", lambda t: t.assign(event="perhaps"), (), "are not understood; expected 0"),
    ("unknown", lambda t: t.assign(event=t["event"].where(t.index % 3 > 0)), (), "--time"),
    (
        "no years",
        lambda t: t.assign(years=t["years"].mask(t.index < 9)),
        ("--time", "years"),
        "9 p",
    ),
    ("horizon", lambda t: t, ("--horizon", "5"), "tells the risk within 10 years"),
    ("no such outcome", lambda t: t.drop(columns="event"), (), "has no column 'event'"),
    ("all refused", lambda t: t.assign(age_years=12), (), "out_of_population:age_years"),
]


@pytest.mark.parametrize(("change", "options", "told"), [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])  # fmt: skip
def test_what_the_data_cannot_carry_is_refused_saying_what_is_missing(
    cohort: MadeUp, tmp_path: Path, change: Any, options: tuple[str, ...], told: str
) -> None:
    path = written(change(cohort.table), tmp_path)
    status, _, problem = run(recalibrate, *order(path, *options, name="china-par-refused"))
    assert status == 1
    assert told in problem
    assert "china-par-refused" not in store.versions()


def test_a_calibrated_score_is_left_alone_and_names_are_kept_apart(tmp_path: Path) -> None:
    right = made_up_cohort("china-par", 0.0, 1.0, 6_000, seed=4)
    table = right.table.assign(event=((right.table["event"] == 1) & (right.table["years"] <= 10)))
    path = written(table, tmp_path, "csv")
    status, _, problem = run(recalibrate, *order(path, name="china-par-right"))
    told = "Use the published score" in problem
    assert (status, told) in ((1, True), (0, False))
    for score, name, expected in (
        ("china-par", "china-par", "stays as it is"),
        ("china-par", "mortality-10y", "a model of another kind"),
        ("findrisc", "findrisc-here", "gives no probability"),
        ("prevent", "prevent-here", "is off"),
    ):
        status, _, problem = run(recalibrate, *order(path, name=name, score=score))
        assert status == 1
        assert expected in problem


def test_removed_it_is_gone(home: Path, made: dict[str, Any]) -> None:
    kept = home / "models" / NAME
    shutil.move(kept, home / "away")
    try:
        assert NAME not in {score.id for score in all_usable()}
    finally:
        shutil.move(home / "away", kept)
