"""What monitoring keeps of people and tiles, and how reviews find what was read."""

from pathlib import Path

import numpy as np
import pytest

from models import store
from models.observation import line_of
from models.table import Given
from serving.observations import input_pseudonym, observed_person
from serving.people import TabularModel
from serving.privacy import open_keyring

PERSON: dict[str, Given] = {
    "age_years": 57.4,
    "sex": "M",
    "chest_pain": "asymptomatic",
    "sbp_mmhg": 131,
}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TabularModel:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path))
    return TabularModel(store.load("coronary-disease"))


def test_inputs_of_a_person_are_kept_coarsely(model: TabularModel) -> None:
    spec = model.package.table_spec
    assessment = model.assess(PERSON)
    observed = observed_person(assessment, spec, "clinic-7")
    assert (observed.model, observed.institution) == ("coronary-disease", "clinic-7")
    assert observed.verdict == assessment.verdict.value == "accepted", assessment.reasons
    assert observed.codes["sex"] == "M"
    assert "missing" in observed.codes.values()
    inputs = {each.name: each for each in spec.inputs}
    for name, value in observed.facts.items():
        each = inputs[name]
        assert each.usual_low is not None
        assert each.usual_high is not None
        step = (each.usual_high - each.usual_low) / 20
        assert value / step == pytest.approx(round(value / step), abs=1e-3)
    assert len(observed.position) > 0
    assert "57.4" not in line_of(observed)
    assert observed.said.keys() == {"coronary_disease"}


def test_of_a_person_who_was_refused_the_verdict_is_kept_alone(model: TabularModel) -> None:
    assessment = model.assess({**PERSON, "age_years": 22})
    observed = observed_person(assessment, model.package.table_spec, "clinic-7")
    assert observed.verdict == "outside_intended_use"
    assert (dict(observed.facts), dict(observed.codes), dict(observed.said)) == ({}, {}, {})


def test_pseudonym_of_an_input_is_its_own_and_the_installations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).bytes(300_000)
    first = open_keyring(tmp_path / "one")
    assert input_pseudonym(first, image) == input_pseudonym(open_keyring(tmp_path / "one"), image)
    others = {
        input_pseudonym(first, image[:-1]),
        input_pseudonym(first, image[:-1] + b"x"),
        input_pseudonym(open_keyring(tmp_path / "two"), image),
        input_pseudonym(first, b""),
    }
    assert len(others) == 4
    assert input_pseudonym(first, image) not in others
