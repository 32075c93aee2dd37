from pathlib import Path
from typing import Any

import pytest
import yaml

from models.errors import ZhuzhenError
from training.config import FOLDER, ConfigError, available, load_any_config, load_config
from training.provenance import config_digest

NAME = "chest-xray-pneumonia-1.0.0"


def whole() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{NAME}.yaml").read_text("utf-8"))
    return content


def written(folder: Path, content: Any) -> str:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", available())
def test_every_configuration_of_the_project_loads(name: str) -> None:
    config = load_any_config(name)
    assert name.startswith(config.name)
    assert all(config.package.finding(label) for label in config.package.labels)
    assert sum(config.split.fractions.values()) == pytest.approx(1)
    assert config.version in config.package.changelog


def test_values_reach_the_dataclasses() -> None:
    config = load_config(NAME)
    content = whole()
    assert config.input.side_px == content["input"]["side_px"]
    assert config.augmentation.zoom_log == tuple(content["augmentation"]["zoom_log"])
    assert config.loop.optimisation.epochs == content["optimisation"]["epochs"]
    assert config.graph.embedding_blocks == tuple(content["graph"]["embedding_blocks"])
    assert dict(config.package.rules[0]) == content["package"]["rules"][0]


def test_extending_changes_what_is_named_and_keeps_the_rest() -> None:
    base, quick = load_config(NAME), load_config("chest-xray-pneumonia-quick")
    assert quick.optimisation.epochs != base.optimisation.epochs
    assert quick.optimisation.label_smoothing == base.optimisation.label_smoothing
    assert quick.package.rules == base.package.rules
    assert quick.package.description != base.package.description


def test_whole_numbers_are_taken_for_floats(tmp_path: Path) -> None:
    content = whole() | {"input": {"side_px": 224, "clip": 4}}
    clip = load_config(written(tmp_path, content)).input.clip
    assert isinstance(clip, float)


def test_nothing_stands_for_an_optional_value(tmp_path: Path) -> None:
    content = whole() | {"data": {"images": None}}
    assert load_config(written(tmp_path, content)).data.images is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": {}}, "The configuration has the unknown key 'optimizer'; known are name"),
        ({"network": {"layers": 3}}, "network has the unknown key 'layers'"),
        ({"package": {"labels": ["pneumonia"]}}, "package lacks the key 'description'"),
        ({"seed": "one"}, "seed is 'one', expected int"),
        ({"seed": True}, "seed is True, expected int"),
        ({"seed": 1.5}, "seed is 1.5, expected int"),
        ({"optimisation": {"epochs": 2.5}}, r"optimisation\.epochs is 2\.5, expected int"),
        ({"optimisation": {"learning_rate": "1e-4"}}, r"optimisation\.learning_rate is '1e-4'"),
        ({"graph": {"mirror_average": 1}}, r"graph\.mirror_average is 1, expected bool"),
        ({"graph": {"embedding_blocks": [4, "x"]}}, r"graph\.embedding_blocks is 'x'"),
        ({"graph": {"embedding_blocks": 4}}, r"graph\.embedding_blocks is 4, expected list"),
        ({"augmentation": {"zoom_log": [0.1]}}, r"augmentation\.zoom_log has 1 values, expected 2"),
        ({"augmentation": ["x"]}, r"augmentation is \['x'\], expected dict"),
        ({"data": {"images": "all"}}, r"data\.images is 'all', expected int"),
        ({"members": {"count": 0}}, "count 0"),
        ({"extends": "no-such-base"}, r"'no-such-base', which [a-z]+\.yaml extends; known are"),
        ({"extends": "gone.yaml"}, r"no file gone\.yaml, which [a-z]+\.yaml extends"),
    ],
)
def test_what_is_not_understood_is_named_with_its_place(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_config(written(tmp_path, whole() | changes))


def test_configuration_that_extends_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("extends: second.yaml\n", encoding="utf-8")
    (tmp_path / "second.yaml").write_text("extends: first.yaml\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"first\.yaml extends itself, by way of second\.yaml"):
        load_config(str(tmp_path / "first.yaml"))


@pytest.mark.parametrize("key", ["name", "version", "seed", "input", "package"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    content = whole()
    del content[key]
    with pytest.raises(ConfigError, match=f"lacks the key '{key}'"):
        load_config(written(tmp_path, content))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"input": {"side_px": 100}}, "side is 100 px"),
        ({"calibration": {"operating_point": "youden"}}, "'youden'"),
        ({"quantisation": {"method": "guess"}}, "'guess'"),
    ],
)
def test_values_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ZhuzhenError, match=told):
        load_config(written(tmp_path, whole() | changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimisation": {"precision": "float16"}}, "float16"),
        ({"selection": {"keep": "first"}}, "first"),
    ],
)
def test_loop_refuses_what_it_does_not_know(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ZhuzhenError, match=told):
        _ = load_config(written(tmp_path, whole() | changes)).loop


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: [", "is not valid YAML"), ("- 1\n", "must hold keys"), ("", "must hold")],
)
def test_file_without_keys_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_config(str(path))


def test_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=f"'no-such-model'; known are .*{NAME}"):
        load_config("no-such-model")


def test_configuration_without_a_side_is_the_inputs_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="input lacks the key 'side_px'"):
        load_config(written(tmp_path, whole() | {"input": {}}))


def test_digest_follows_the_values_and_not_the_file(tmp_path: Path) -> None:
    same = load_config(written(tmp_path, whole()))
    assert config_digest(same) == config_digest(load_config(NAME))
    other = load_config(written(tmp_path, whole() | {"seed": 1}))
    assert config_digest(other) != config_digest(same)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"members": {"count": 1, "cross_fitted": True}}, "at least 2"),
        ({"selection": {"keep": "best"}}, "selection.keep is 'best'; expected last"),
        ({"split": {"lent": 0.5}}, "split.lent is 0.5; expected 0"),
    ],
)
def test_cross_fitted_members_need_what_keeps_their_folds_honest(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    fitting = {
        "members": {"count": 2, "cross_fitted": True},
        "selection": {"keep": "last"},
    }
    assert load_config(written(tmp_path, whole() | fitting)).members.cross_fitted
    with pytest.raises(ConfigError, match=told):
        load_config(written(tmp_path, whole() | fitting | changes))
