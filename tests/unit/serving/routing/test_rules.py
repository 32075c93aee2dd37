from dataclasses import replace

import pytest

from serving.archive.header import read_instance_header
from serving.routing import NodeFileError, Priority, SeriesFacts, choose, facts_of
from serving.routing.node_file import parse_node
from tests.instance_samples import encoded, instance

FILE = """
ae_title: NODE
sources:
  - {name: cr-1, institution: hospital, ae_title: CR1, addresses: [10.1.0.0/16], quiet_time_s: 5}
rules:
  - name: children
    when:
      source: [cr-1]
      modality: [cr, DX]
      body_part: [chest]
      age_years: {min: 1, max: 5}
      description: thora|chest
    models: [chest-xray-pneumonia]
    priority: urgent
    destinations: [pacs]
  - name: everything-else
    when: {modality: [MR]}
    models: [a, b@1.0.0]
destinations:
  - {name: pacs, to: 'folder:out'}
"""
CHILD = SeriesFacts("cr-1", "CR", "CHEST", 3.0, "Thorax ap")


def test_the_first_rule_that_fits_decides() -> None:
    node = parse_node(FILE)
    choice = choose(node.rules, CHILD)
    assert choice.rule is not None
    assert choice.rule.name == "children"
    assert choice.rule.priority is Priority.URGENT
    assert choice.rule.destinations == ("pacs",)
    second = choose(node.rules, replace(CHILD, modality="MR"))
    assert second.rule is not None
    assert second.rule.models == ("a", "b@1.0.0")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "cr-2"}, "source is cr-2"),
        ({"modality": "US"}, "modality is US"),
        ({"modality": None}, "modality is not in the header"),
        ({"body_part": "LEG"}, "body part is LEG"),
        ({"age_years": 40.0}, "40.0 years, not 1 to 5 years"),
        ({"age_years": None}, "age is not in the header"),
        ({"description": "Knee"}, "descriptions do not match"),
    ],
)
def test_a_rule_says_what_it_does_not_fit(change: dict[str, object], told: str) -> None:
    choice = choose(parse_node(FILE).rules, replace(CHILD, **change))  # type: ignore[arg-type]
    assert choice.rule is None
    name, why = choice.passed_over[0]
    assert name == "children"
    assert told in why.en
    assert why.zh != why.en


def test_facts_come_from_the_header() -> None:
    dataset = instance(
        BodyPartExamined="THORAX", StudyDescription="Chest", PatientBirthDate="20230102"
    )
    header = read_instance_header(encoded(dataset), "1.2.840.10008.1.2.1")
    facts = facts_of(header.study, header.series, header.instance | header.routing, "x")
    assert facts.body_part == "CHEST"
    assert facts.age_years == pytest.approx(3.0, abs=0.01)
    assert facts.description == "Chest"


@pytest.mark.parametrize(
    ("found", "replacement", "line", "told"),
    [
        ("quiet_time_s: 5", "quiet_time_s: soon", 4, "'soon' is not of type 'number'"),
        ("priority: urgent", "priority: now", 14, "'now' is not one of"),
        ("destinations: [pacs]", "destinations: [nowhere]", 15, "'nowhere' is not defined"),
        ("source: [cr-1]", "source: [cr-9]", 8, "'cr-9' is not defined"),
        ("description: thora|chest", "description: '(('", 12, "not a regular expression"),
        ("models: [a, b@1.0.0]", "modles: [a]", 16, "modles"),
        ("name: everything-else", "name: children", 16, "given twice"),
        ("10.1.0.0/16", "10.1.0.7/16", 4, "addresses"),
        ("ae_title: NODE", "ae_title: [", 4, "not YAML"),
    ],
)
def test_errors_name_the_line(found: str, replacement: str, line: int, told: str) -> None:
    assert found in FILE
    with pytest.raises(NodeFileError) as caught:
        parse_node(FILE.replace(found, replacement))
    assert told in str(caught.value)
    assert f"line {line}" in str(caught.value)


def test_an_empty_file_lets_nobody_in() -> None:
    node = parse_node("")
    assert node.listener.callers == ()
    assert node.rules == ()
