"""What readers said of a model's pre-reads trains its next version, from the file to the door."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from datasets.manifest_file import read_manifest
from models import store
from serving.cli.app import app
from tests.toy_tiles import made_up_tile, write_toy_tiles
from training.against_champion import FOLDER
from training.registry import Registry

# MLflow's own use of SQLAlchemy.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
NAME = "toy-tiles"
# What the model said, what the reader did, why, and what is on the tile.
SAID = (
    ("present", "accept", None, True),
    ("present", "reject", "artefact", False),
    ("present", "relocate", "wrong_place", True),
    ("none", "add", "missed", True),
    ("absent", "accept", None, False),
)


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code in (0, 1), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def zhuzhen(*arguments: object) -> dict[str, Any]:
    status, stdout, stderr = run(*arguments, "--json")
    assert status == 0, stderr
    told: dict[str, Any] = json.loads(stdout)
    return told


def reviews(folder: Path, digest: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write twenty reviews with their tiles, as an export has them; `change` the last one."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(20):
        said, action, reason, nests = SAID[number % len(SAID)]
        path = folder / "images" / f"{number}.png"
        Image.fromarray(made_up_tile(5_000 + number, nests)).save(path)
        finding = {"finding": "toy_nests", "action": action, "said": said}
        image = {"path": f"images/{path.name}", "patient": f"person-{number // 2}", "site": "north"}
        lines.append(
            {
                "format": 1,
                "review_id": f"review-{number}",
                "image": {**image, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                "model": {"name": NAME, "version": "0.1.0", "digest": digest},
                "findings": [finding if reason is None else {**finding, "reason": reason}],
                "reader": {
                    "id": f"reader-{number % 2}",
                    "role": ("pathologist", "trainee")[number % 2],
                },
                "reading_time_s": 30 + number,
                "signed_at": f"2026-11-{10 + number % 5}",
                "consent": {"training": True, "scope": "research"},
            }
        )
    change(lines[-1])
    path = folder / "reviews.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def as_it_is(_: dict[str, Any]) -> None:
    """Leave the review as it is."""


def without_consent(review: dict[str, Any]) -> None:
    review["consent"]["training"] = False


@dataclass(frozen=True)
class Trained:
    home: Path
    folder: Path
    configuration: Path
    first: dict[str, Any]
    reviews: Path


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A first version that is the champion, and reviews of what it said."""
    with pytest.MonkeyPatch.context() as environment:
        home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("toy")
        environment.setenv("ZHUZHEN_HOME", str(home))
        environment.delenv("ZHUZHEN_DATA", raising=False)
        configuration = write_toy_tiles(folder)
        first = zhuzhen("train", configuration)
        zhuzhen("models", "promote", NAME)
        written = reviews(folder / "export", first["digest"], as_it_is)
        yield Trained(home, folder, configuration, first, written)


@pytest.fixture(scope="module")
def second(before: Trained) -> dict[str, Any]:
    """The next version, which learnt from the reviews."""
    configuration = before.folder / "reviewed.yaml"
    content = {"extends": before.configuration.name, "version": "0.2.0"}
    configuration.write_text(yaml.safe_dump(content), encoding="utf-8")
    return zhuzhen("train", configuration, "--from-reviews", before.reviews)


def test_version_that_serves_is_not_written_over(before: Trained) -> None:
    status, _, told = run("train", before.configuration, "--from-reviews", before.reviews)
    assert status == 1
    assert f"{NAME} 0.1.0 is used already and was made of another manifest of data" in told
    assert "`version: ...`" in told
    assert store.load(NAME).reference_to.digest == before.first["digest"]
    # The same data and configuration are the same package: there is nothing to refuse.
    assert zhuzhen("train", before.configuration) == before.first


def test_reviews_are_seen_in_the_data_before_anything_is_trained(before: Trained) -> None:
    out = before.folder / "reviewed.parquet"
    description = before.folder / "toy_tiles.yaml"
    told = zhuzhen("data", "manifest", description, "--out", out, "--from-reviews", before.reviews)
    assert (told["version"], told["samples"]) == ("1.1.0", "260")
    sheet = out.with_suffix(".md").read_text("utf-8")
    assert "## Reviews 复核" in sheet
    assert "20 images of 10 patients" in sheet
    kept = read_manifest(out, before.folder)
    assert kept.fact("review_id")[-1] == "review-19"
    assert kept.fact("review_consent")[-1] == "research"
    assert kept.fact("review_role")[-2:] == ["pathologist", "trainee"]
    assert kept.fact("review_delta")[-4:] == [
        "reject toy_nests (artefact)",
        "relocate toy_nests (wrong_place)",
        "add toy_nests (missed)",
        "accept",
    ]
    assert kept.fact("review_time_s")[-1] == 49


def test_next_version_says_which_reviews_it_learnt_from(
    before: Trained, second: dict[str, Any]
) -> None:
    assert second["version"] == "0.2.0"
    root = before.home / "models" / NAME / "0.2.0"
    data = json.loads((root / "evaluation.json").read_text("utf-8"))["provenance"]["data"]
    assert data["manifest_version"] == "1.1.0"
    assert data["images"]["training"] == 96 + 20
    told = data["reviews"]
    assert (
        told["file_digest"] == "sha256:" + hashlib.sha256(before.reviews.read_bytes()).hexdigest()
    )
    assert (told["images"], told["patients"], told["readers"]) == (20, 10, 2)
    assert told["signed"] == ["2026-11-10", "2026-11-14"]
    assert told["roles"] == {"pathologist": 10, "trainee": 10}
    assert told["actions"] == {"accept": 8, "add": 4, "reject": 4, "relocate": 4}
    assert told["reasons"] == {"artefact": 4, "missed": 4, "wrong_place": 4}
    assert told["consent"] == {"research": 20}
    assert told["models"] == {f"{NAME} 0.1.0": 20}
    assert told["reading_time_s"]["median"] == 39.5
    card = (root / "docs/README.md").read_text("utf-8")
    assert "### Reviews 复核" in card
    assert "Trained on 20 reviewed images of 10 patients, too" in card
    assert "20 under `research`" in card
    assert "2 readers, pathologist (10), trainee (10), from 2026-11-10 to 2026-11-14" in card
    assert f"pre-reads of {NAME} 0.1.0 (20)" in card
    # A group of these data is a slide, and not called a patient.
    assert "72 images of 18 slides that nothing was chosen by" in card
    assert "divided by slide; 0 sets of slides that share a picture were kept together" in card
    assert told["file_digest"] in card
    assert "--from-reviews" in card
    # Whoever withdraws is found again: the ids are kept here, and never in the package.
    (manifest,) = before.home.glob("training/toy-tiles-0.2.0-*/manifest.parquet")
    assert "review-7" in read_manifest(manifest, before.folder).fact("review_id")
    everything = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    for private in (b"review-7", b"reader-1", b"person-3"):
        assert private not in everything


def test_run_holds_the_comparison_with_the_champion(
    before: Trained, second: dict[str, Any], tmp_path: Path
) -> None:
    registry = Registry(before.home)
    made = registry.resolve(NAME, "0.2.0")
    assert made.digest == second["digest"]
    folder = registry.artifact(made, FOLDER, tmp_path)
    assert folder is not None
    told = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert told["champion"] == {"version": "0.1.0", "digest": before.first["digest"]}
    assert told["samples"] == 72
    (auc,) = [each for each in told["differences"] if each["figure"] == "auc"]
    assert auc["low"] <= auc["difference"] <= auc["high"]
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_card_holds_the_comparison_with_the_champion(
    before: Trained, second: dict[str, Any]
) -> None:
    packages = before.home / "models" / NAME
    root = packages / second["version"]
    facts = json.loads((root / "evaluation.json").read_text("utf-8"))["against_champion"]
    card = (root / "docs/README.md").read_text("utf-8")
    assert f"Champion where this one was made: 0.1.0 `{before.first['digest']}`" in card
    assert "the same 72 samples of its locked set (18 slides)" in card
    for each in facts["differences"]:
        told = f"{each['difference']:+.3f} ({each['low']:+.3f} to {each['high']:+.3f})"
        assert f"| {each['first']:.3f} | {each['second']:.3f} | {told} |" in card
    assert (root / "docs" / "against-champion.png").read_bytes().startswith(b"\x89PNG")
    first = (packages / "0.1.0" / "docs/README.md").read_text("utf-8")
    assert "No version was champion where this one was made" in first
    assert "The operating point was chosen on the validation part" in first


def test_conformal_coverage_has_its_interval_in_the_card(
    before: Trained, second: dict[str, Any]
) -> None:
    root = before.home / "models" / NAME / second["version"]
    decided = json.loads((root / "evaluation.json").read_text("utf-8"))["test"]["decisions"]
    low, high = decided["intervals"]["coverage_of_positives"]
    assert low <= decided["coverage_of_positives"] <= high
    card = (root / "docs/README.md").read_text("utf-8")
    assert f"{decided['coverage_of_positives']:.1%} ({low:.1%}-{high:.1%}) of the positives" in card


def test_next_version_is_held_against_the_one_that_was_reviewed_and_serves(
    before: Trained, second: dict[str, Any]
) -> None:
    promoted = zhuzhen("models", "promote", NAME)
    (paired,) = [each for each in promoted["gate"] if each["test"] == "non-inferiority"]
    assert "72 locked samples" in paired["told"]
    tile = before.folder / "export" / "images" / "3.png"
    answer = zhuzhen("predict", NAME, tile)
    assert (answer["version"], answer["digest"]) == ("0.2.0", second["digest"])
    zhuzhen("models", "rollback", NAME)
    assert zhuzhen("predict", NAME, tile)["digest"] == before.first["digest"]


def test_review_without_consent_stops_everything(before: Trained, tmp_path: Path) -> None:
    path = reviews(tmp_path, before.first["digest"], without_consent)
    before_it = sorted((before.home / "training").iterdir())
    description, out = before.folder / "toy_tiles.yaml", tmp_path / "m.parquet"
    for command in (
        ("train", before.configuration),
        ("data", "manifest", description, "--out", out),
    ):
        status, _, told = run(*command, "--from-reviews", path)
        assert status == 1
        assert "reviews.jsonl line 20: there is no consent to training; take the review out" in told
    assert sorted((before.home / "training").iterdir()) == before_it
    assert not out.exists()


def test_reviews_that_are_not_there_are_told(before: Trained, tmp_path: Path) -> None:
    status, _, told = run("train", before.configuration, "--from-reviews", tmp_path / "no.jsonl")
    assert status == 1
    assert "no.jsonl is not there; name the file of reviews" in told
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    status, _, told = run("train", before.configuration, "--from-reviews", tmp_path / "empty.jsonl")
    assert status == 1
    assert "empty.jsonl has no reviews" in told
