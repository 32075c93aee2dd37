"""What a regulator reads in the card: the champion it was held against, rules, changed inputs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from models.package import CALIBRATION, CARD, EVALUATION
from serving.cli.app import app
from tests.toy_people import write_toy_people
from training.champion_section import champion_section
from training.comparison import Difference

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = "toy-risk"


def zhuzhen(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@dataclass(frozen=True)
class Factory:
    """Two versions; the first was promoted before the second was trained."""

    home: Path
    folder: Path
    first: dict[str, Any]
    second: dict[str, Any]

    def card(self, version: str) -> str:
        return (self.root(version) / CARD).read_text(encoding="utf-8")

    def evaluation(self, version: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root(version) / EVALUATION).read_text("utf-8"))
        return content

    def root(self, version: str) -> Path:
        return self.home / "models" / NAME / version


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as environment:
        home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("toy")
        environment.setenv("ZHUZHEN_HOME", str(home))
        environment.delenv("ZHUZHEN_DATA", raising=False)
        configuration = write_toy_people(folder)
        first = zhuzhen("train", configuration)
        zhuzhen("models", "promote", NAME)
        content = {"extends": configuration.name, "version": "0.2.0", "model": {"knots": 4}}
        (folder / "second.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        yield Factory(home, folder, first, zhuzhen("train", folder / "second.yaml"))


def test_first_version_says_that_there_was_no_champion(factory: Factory) -> None:
    card = factory.card("0.1.0")
    assert "## Against the champion · 与现行版本的配对比较" in card
    assert "No version was champion where this one was made" in card
    assert "尚无现行版本" in card
    assert "against-champion.png" not in card


def test_card_holds_the_paired_comparison_that_compare_tells(
    factory: Factory, tmp_path: Path
) -> None:
    told = zhuzhen(
        "models",
        "compare",
        f"{NAME}@0.1.0",
        f"{NAME}@0.2.0",
        "--out",
        tmp_path / "comparison.png",
    )
    facts = factory.evaluation("0.2.0")["against_champion"]
    assert facts["champion"] == {"version": "0.1.0", "digest": factory.first["digest"]}
    assert facts["differences"] == told["differences"]
    card = factory.card("0.2.0")
    (auc,) = [each for each in told["differences"] if each["figure"] == "auc"]
    row = f"| {auc['difference']:+.3f} ({auc['low']:+.3f} to {auc['high']:+.3f}) | 0.01, "
    assert f"| AUC | {auc['first']:.3f} | {auc['second']:.3f} {row}" in card
    assert factory.first["digest"] in card
    assert "the gate finds it no worse than that champion" in card
    assert "逐例比较" in card
    picture = factory.root("0.2.0") / "docs" / "against-champion.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "(against-champion.png)" in card


@pytest.mark.parametrize(
    ("name", "told"),
    [("picture.txt", "picture.txt does not end in .png"), ("taken/c.png", "cannot be written to")],
)
def test_picture_that_cannot_be_is_told(
    factory: Factory, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "taken").write_text("a file, and no folder", encoding="utf-8")
    both = f"{NAME}@0.1.0", f"{NAME}@0.2.0"
    done = CliRunner().invoke(app, ["models", "compare", *both, "--out", str(tmp_path / name)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert told in " ".join(done.stderr.split())


def test_compare_tells_a_person_what_the_gate_accepts(factory: Factory, tmp_path: Path) -> None:
    out = str(tmp_path / "c.png")
    both = f"{NAME}@0.2.0", f"{NAME}@0.1.0"
    done = CliRunner().invoke(app, ["models", "compare", *both, "--out", out])
    assert done.exit_code == 0, done.output
    told = " ".join(done.stdout.replace("│", " ").split())
    # A narrow terminal wraps the cells.
    assert "kept" in told
    assert "exceeded" in told
    assert "rightly called by 0.1.0 alone 0, by 0.2.0 alone 2" in told


def test_loss_that_is_not_known_is_not_accepted() -> None:
    unknown = Difference("toy", "sensitivity", 1.0, 1.0, 0.0, float("nan"), float("nan"))
    assert unknown.beyond({"sensitivity": 0.03})
    assert not unknown.beyond({"auc": 0.01})


def test_card_says_of_a_loss_beyond_the_margin_what_the_gate_does() -> None:
    difference = {"label": "toy", "figure": "sensitivity", "first": 0.9, "second": 0.8}
    facts = {
        "champion": {"version": "0.1.0", "digest": "sha256:0"},
        "samples": 9,
        "groups": 9,
        "draws": 10,
        "differences": [{**difference, "difference": -0.1, "low": -0.2, "high": 0.0}],
        "accepted_losses": {"sensitivity": 0.03},
        "right_alone": {"toy": {"first": 1, "second": 0}},
    }
    card = champion_section({"against_champion": facts}, "people")
    assert "| -0.100 (-0.200 to +0.000) | 0.03, exceeded by 0.17 |" in card
    assert "the gate does not let it take that champion's place" in card
    assert "may be lost of sensitivity of toy." in card
    assert "未通过不劣于" in card


def test_each_alone_is_counted_by_the_decisions_of_the_locked_set(
    factory: Factory, tmp_path: Path
) -> None:
    told = zhuzhen(
        "models", "compare", f"{NAME}@0.1.0", f"{NAME}@0.2.0", "--out", tmp_path / "c.png"
    )
    facts = factory.evaluation("0.2.0")["against_champion"]
    assert facts["right_alone"] == told["right_alone"]
    alone = facts["right_alone"]["toy_disease"]
    figures = {each["figure"]: each for each in facts["differences"]}
    test = factory.evaluation("0.2.0")["test"]
    sick, well = test["positives"], test["images"] - test["positives"]
    gained = (
        figures["sensitivity"]["difference"] * sick + figures["specificity"]["difference"] * well
    )
    assert alone["second"] - alone["first"] == pytest.approx(gained, abs=1e-6)


def test_promoted_version_is_the_same_when_it_is_trained_again(factory: Factory) -> None:
    zhuzhen("models", "promote", NAME)
    assert zhuzhen("train", factory.folder / "second.yaml") == factory.second
    assert zhuzhen("train", factory.folder / "toy-risk.yaml") == factory.first
    zhuzhen("models", "rollback", NAME)


def test_card_says_by_which_rule_and_on_what_the_operating_point_was_chosen(
    factory: Factory,
) -> None:
    card, evaluation = factory.card("0.1.0"), factory.evaluation("0.1.0")
    fitted = json.loads((factory.root("0.1.0") / CALIBRATION).read_text("utf-8"))["fitted"]
    assert evaluation["operating_point"]["rule"] == fitted["operating_point"]
    found = evaluation["validation"]["figures"]
    assert (
        "The operating point was chosen on the validation part: the threshold with the highest "
        "mean of sensitivity and specificity (balanced accuracy) there" in card
    )
    assert f"sensitivity is {found['sensitivity']['value']:.3f} and specificity " in card
    assert "灵敏度与特异度均值（平衡准确率）最高的阈值" in card


def test_operating_point_that_is_set_is_said_to_be_set(factory: Factory) -> None:
    content = {
        "extends": "toy-risk.yaml",
        "version": "0.3.0",
        "calibration": {"operating_point": "fixed", "fixed_operating_point": 0.4},
    }
    (factory.folder / "third.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    zhuzhen("train", factory.folder / "third.yaml")
    assert "The operating point was set beforehand" in factory.card("0.3.0")


def test_changed_inputs_are_measured_one_by_one_and_together(factory: Factory) -> None:
    facts = factory.evaluation("0.1.0")["robustness"]
    changes, inputs = facts["changes"], facts["inputs"]
    whole = factory.evaluation("0.1.0")["test"]["figures"]
    for name in ("auc", "calibration_error", "sensitivity"):
        assert changes["unchanged"][name] == pytest.approx(whole[name]["value"])
    assert changes["unchanged"]["changed_decisions"] == 0
    varied = changes["every number varied"]
    assert varied["auc"] < changes["unchanged"]["auc"]
    assert 0 < varied["changed_decisions"] < 0.5
    assert changes["in other units, rounded"]["mean_probability_change"] > 0
    pressure = inputs["sbp_mmhg"]
    assert pressure["variation"] == {"sd": 8, "source": "a made-up paper"}
    assert inputs["age_years"]["variation"]["source"] is None
    assert inputs["sex"]["varied"]["changed_decisions"] > 0
    # Missing where it may be; an age that is missing is refused at the door.
    assert pressure["missing"]["changed_decisions"] > 0
    assert "missing" not in inputs["age_years"]
    assert changes["all that may be missing is missing"] == pressure["missing"]
    lowest, highest = inputs["age_years"]["lowest"], inputs["age_years"]["highest"]
    assert (lowest["value"], highest["value"]) == (0, 120)
    assert lowest["mean_shift"] < -0.2
    assert highest["mean_shift"] > 0.2


def test_card_tells_changed_inputs_with_the_source_of_each_number(factory: Factory) -> None:
    card, facts = factory.card("0.1.0"), factory.evaluation("0.1.0")["robustness"]
    assert "## When the inputs are changed · 输入改变时" in card
    assert "- `sbp_mmhg`: standard deviation 8 mm[Hg] (a made-up paper)" in card
    age = facts["inputs"]["age_years"]
    varied = f"`age_years` {age['variation']['sd']:.3g} a"
    assert f"20% of the spread over the training part, which is our choice: {varied}" in card
    (row,) = [line for line in card.splitlines() if line.startswith("| `age_years` | 0 a |")]
    assert f"{age['lowest']['changed_decisions']:.1%}" in row
    (alone,) = [line for line in card.splitlines() if "not accepted" in line and "age" in line]
    assert f"{age['rounded_to']:g} a" in alone
    assert "(robustness.png)" in card


def test_variation_without_a_size_is_refused(factory: Factory) -> None:
    content = yaml.safe_load((factory.folder / "toy-risk.yaml").read_text("utf-8"))
    content["inputs"][2]["variation"] = {"source": "nobody"}
    (factory.folder / "wrong.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    done = CliRunner().invoke(app, ["train", str(factory.folder / "wrong.yaml")])
    assert done.exit_code == 1
    assert "needs either sd or cv_percent" in done.stderr
