import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.figures import Bound, Figure, Section, Target, section_from
from benchmarks.machine import Machine
from benchmarks.page import page_from, renewed, results_json
from benchmarks.rounds import Spread

DOCS = Path(__file__).parents[3] / "docs"
MACHINE = Machine(
    date="2026-01-01",
    processor="A processor",
    cores=2,
    vector_instructions=("avx2",),
    memory_gib=8.0,
    system="Linux x86_64",
    python="3.11.0",
    libraries={"onnxruntime": "1.0"},
    model="a-model 1.0.0 (sha256:0)",
    load_at_start=0.1,
)
SECTION = Section(
    "overhead",
    "A title",
    ("How.",),
    (
        Figure("met", Spread(1.5, 1.4, 1.6), "x", Target(Bound.AT_MOST, 2.0)),
        Figure("missed", Spread(2.5, 2.4, 2.6), "x", Target(Bound.AT_MOST, 2.0)),
        Figure("without a target", Spread(0.0123, 0.01, 0.02), "x"),
    ),
    (Figure("time", Spread(123.4, 120.0, 130.0), "ms"),),
)


@pytest.mark.parametrize(
    ("target", "met", "missed"),
    [
        pytest.param(Target(Bound.AT_MOST, 2.0), 2.0, 2.01, id="at most"),
        pytest.param(Target(Bound.AT_LEAST, 0.85), 0.85, 0.84, id="at least"),
        pytest.param(Target(Bound.MORE_THAN, 1.0), 1.01, 1.0, id="more than"),
    ],
)
def test_target(target: Target, met: float, missed: float) -> None:
    assert target.met_by(met)
    assert not target.met_by(missed)


def test_section_survives_json() -> None:
    assert section_from(json.loads(json.dumps(SECTION.as_json()))) == SECTION


def test_page_tells_what_was_found_and_what_was_missed() -> None:
    page = page_from(results_json(MACHINE, [SECTION]))
    assert "| A title | met | at most 2 | 1.50 x | met |" in page
    assert "| A title | missed | at most 2 | 2.50 x | **not met** |" in page
    assert "| without a target | 0.0123 x | 0.0100 to 0.0200 |" in page
    assert "| time | 123 ms | 120 to 130 |" in page
    assert page.count("without a target") == 1
    for value in ("A processor, 2 cores usable (avx2)", "onnxruntime 1.0", "a-model 1.0.0"):
        assert value in page


def test_results_hold_the_whole_machine() -> None:
    found = json.loads(results_json(MACHINE, [SECTION]))
    assert found["machine"] == json.loads(json.dumps(asdict(MACHINE)))


def test_one_section_is_measured_anew_and_says_so() -> None:
    known = results_json(MACHINE, [SECTION, replace(SECTION, key="risk", title="Another")])
    later = replace(MACHINE, date="2026-02-02", load_at_start=0.2)
    again = results_json(later, [replace(SECTION, title="A newer title")])
    page = page_from(renewed(known, again, ("overhead", "risk")))
    assert page.index("## A newer title") < page.index("## Another")
    assert "## A title" not in page
    assert page.count("2026-02-02, beside a load of 0.2") == 1
    assert "| Date | 2026-01-01 |" in page


def test_sections_of_two_machines_are_not_mixed() -> None:
    again = results_json(replace(MACHINE, cores=64), [SECTION])
    with pytest.raises(ValueError, match="another machine"):
        renewed(results_json(MACHINE, [SECTION]), again, ("overhead",))


def test_published_page_is_the_one_its_figures_give() -> None:
    results = (DOCS / "benchmarks.json").read_text(encoding="utf-8")
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == page_from(results)
