"""The page that tells people what was measured; written by code, never by hand."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import Figure, Section, section_from
from benchmarks.machine import Machine

_INTRODUCTION = """\
# Benchmarks

Written by `make bench` (`python -m benchmarks`) from [benchmarks.json](benchmarks.json); not by
hand.

Targets are ratios of two things that were measured in turns within one run, on the same work and
the same machine. A figure is the median over the rounds; the range behind it is the middle half.
The client process runs on the same cores as what it measures, so its cost is in every figure that
goes over HTTP.
"""


def results_json(machine: Machine, sections: Sequence[Section]) -> str:
    """Return everything that was measured as JSON."""
    found = {"machine": asdict(machine), "measures": [section.as_json() for section in sections]}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def renewed(results: str, again: str, order: Sequence[str]) -> str:
    """Return `results` with the sections of `again` in place of what they held of these.

    Sections stand in the `order` of their measures, and say when they were measured anew.

    Raises:
        ValueError: the two were not measured with the same machine, libraries and model.
    """
    before, after = json.loads(results), json.loads(again)
    machine = after["machine"]
    passing = {
        "date": before["machine"]["date"],
        "load_at_start": before["machine"]["load_at_start"],
    }
    if {**machine, **passing} != before["machine"]:
        raise ValueError("The page is of another machine, library or model; measure everything.")
    moment = f"{machine['date']}, beside a load of {machine['load_at_start']} at the start"
    found = {each["measure"]: each for each in before["measures"]}
    found |= {each["measure"]: {**each, "measured": moment} for each in after["measures"]}
    before["measures"] = [found[key] for key in order if key in found]
    return json.dumps(before, indent=1, ensure_ascii=False) + "\n"


def page_from(results: str) -> str:
    """Return the page for what `results_json` wrote."""
    found = json.loads(results)
    sections = [section_from(entry) for entry in found["measures"]]
    parts = [_INTRODUCTION, _machine(found["machine"]), _targets(sections)]
    parts += [_section(section) for section in sections]
    return "\n".join(parts)


def _machine(machine: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    flags = ", ".join(machine["vector_instructions"]) or "unknown"
    rows = (
        ("Date", machine["date"]),
        ("Processor", f"{machine['processor']}, {machine['cores']} cores usable ({flags})"),
        ("Memory", f"{machine['memory_gib']} GiB"),
        ("System", machine["system"]),
        ("Python", machine["python"]),
        ("Libraries", libraries),
        ("Model", machine["model"]),
        ("Load before the run", f"{machine['load_at_start']} (above 0.5: others disturbed it)"),
    )
    return "## The machine\n\n" + _table(("", ""), rows)


def _targets(sections: Sequence[Section]) -> str:
    rows = [
        (section.title, figure.what, _bound(figure), _value(figure), _outcome(figure))
        for section in sections
        for figure in section.ratios
        if figure.target is not None
    ]
    return "## Targets\n\n" + _table(("measure", "figure", "target", "found", ""), rows)


def _outcome(figure: Figure) -> str:
    return "met" if figure.met else "**not met**"


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n", *(f"{paragraph}\n" for paragraph in section.method)]
    if section.measured:
        parts.append(f"Measured anew by itself: {section.measured}.\n")
    for title, figures in (("ratio", section.ratios), ("on this machine", section.absolutes)):
        if figures:
            rows = [(figure.what, _value(figure), _range(figure)) for figure in figures]
            parts.append(_table((title, "median", "middle half"), rows))
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _bound(figure: Figure) -> str:
    return f"{figure.target.bound.value} {figure.target.value:g}" if figure.target else ""


def _value(figure: Figure) -> str:
    return f"{_number(figure.spread.median)} {figure.unit}".strip()


def _range(figure: Figure) -> str:
    return f"{_number(figure.spread.lower_quartile)} to {_number(figure.spread.upper_quartile)}"


def _number(value: float) -> str:
    """Three digits that say something."""
    if value == int(value):
        return f"{value:.0f}"
    decimals = next((n for n, limit in ((0, 100), (1, 10), (2, 0.1)) if abs(value) >= limit), 4)
    return f"{value:.{decimals}f}"
