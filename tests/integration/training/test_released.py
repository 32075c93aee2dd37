"""The packages that the service ships with are what the code and configuration here make."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from datasets.description import load_description
from models.package import CARD, EVALUATION, METADATA, ModelPackage
from models.store import RELEASED
from tests.kermany_samples import made_up_radiograph
from training.card import render_card
from training.config import TrainConfig, load_any_config
from training.packaging import INFERENCE
from training.provenance import LIBRARIES, config_digest
from training.tables.card import render_table_card

PACKAGES = sorted(path.parent for path in RELEASED.glob("*/*/SHA256SUMS"))
_NO_SUCH_COMMIT = 128
NAMES = sorted({root.parts[-2] for root in PACKAGES})


def _name(root: Path) -> str:
    return "/".join(root.parts[-2:])


each_package = pytest.mark.parametrize("root", PACKAGES, ids=_name)
each_model = pytest.mark.parametrize("name", NAMES)


def made_by_the_configuration(name: str) -> Path:
    """Return the package that the configuration here makes; older ones are there to go back to."""
    root = RELEASED / name / load_any_config(name).version
    if not root.is_dir():
        pytest.skip(f"{name} {root.name} is configured and not released yet")
    newest = max((path.name for path in root.parent.iterdir()), key=_order)
    assert newest == root.name, "a newer version is released than the configuration makes"
    return root


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def evaluation_of(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / EVALUATION).read_text(encoding="utf-8"))
    return content


@each_package
def test_released_package_verifies_and_is_where_its_name_says(root: Path) -> None:
    reference = ModelPackage.load(root).reference_to
    assert (reference.name, reference.version) == root.parts[-2:]


@each_model
def test_evaluation_is_of_the_configuration_here(name: str) -> None:
    root = made_by_the_configuration(name)
    config = load_any_config(root.parts[-2])
    evaluation = evaluation_of(root)
    assert (evaluation["model"], evaluation["version"]) == (config.name, config.version)
    assert evaluation["provenance"]["configuration_digest"] == config_digest(config)


@each_package
def test_every_figure_leads_to_data_and_code(root: Path) -> None:
    provenance = evaluation_of(root)["provenance"]
    data = provenance["data"]
    assert load_description(data["source"]).sheet["digest"] == data["manifest_digest"]
    assert set(provenance["libraries"]) == {"python", *LIBRARIES}
    codes = [provenance["code"]]
    if "taken_over" in provenance:
        codes.append(provenance["taken_over"]["code"])
    for code in codes:
        assert code["changed_since"] is False
        git = ["git", "merge-base", "--is-ancestor", code["commit"], "HEAD"]
        try:
            found = subprocess.run(git, cwd=RELEASED, capture_output=True, check=False).returncode
        except OSError:
            pytest.skip("git is not here")
        if found == _NO_SUCH_COMMIT:
            pytest.skip("this copy has not the whole history")
        assert found == 0


@each_model
def test_card_says_what_the_evaluation_says(name: str) -> None:
    root = made_by_the_configuration(name)
    card = (root / CARD).read_text(encoding="utf-8")
    shown = [
        name for name in (p.name for p in (root / "docs").glob("*.png")) if f"({name})" in card
    ]
    in_order = sorted(shown, key=card.index)
    config, evaluation = load_any_config(root.parts[-2]), evaluation_of(root)
    if isinstance(config, TrainConfig):
        assert card == render_card(config, evaluation, in_order)
    else:
        assert card == render_table_card(config, evaluation, in_order)


@pytest.mark.parametrize(
    "root", [root for root in PACKAGES if (root / INFERENCE).is_file()], ids=lambda root: root.name
)
def test_monai_runs_the_released_bundle(root: Path, tmp_path: Path) -> None:
    picture = made_up_radiograph(0, True, 256)
    Image.fromarray(picture).save(tmp_path / "radiograph.png")
    parser = ConfigParser()
    parser.read_config(str(root / INFERENCE))
    parser.read_meta(str(root / METADATA))
    parser["bundle_root"] = str(root)
    parser["image_path"] = str(tmp_path / "radiograph.png")
    logits, activation_map, embedding, *of_members = parser.get_parsed_content("outputs")
    assert logits.shape == (1, len(ModelPackage.load(root).labels))
    assert activation_map.shape[:2] == logits.shape
    assert np.isfinite(embedding).all()
    for each in of_members:
        np.testing.assert_allclose(each.mean(axis=1), logits, atol=1e-5)
