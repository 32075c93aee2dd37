"""What the made-up data sets and models of tests have in common."""

from typing import Any


def toy_sheet(en: str, zh: str) -> dict[str, Any]:
    """The data sheet of a made-up data set with this title."""
    return {
        "title": {"en": en, "zh": zh},
        "origin": "made up",
        "licence": "CC0-1.0",
        "citation": "none",
        "population": "nobody",
        "obtain": "tests make it",
    }


def toy_package(
    label: str, *, en: str, zh: str, code: dict[str, str], rule: dict[str, Any]
) -> dict[str, Any]:
    """How a made-up model with one finding is packaged, used where `rule` holds."""
    return {
        "description": "A toy.",
        "task": "toy",
        "authors": "nobody",
        "copyright": "none",
        "licence": "CC0-1.0",
        "intended_use": "Tests. Not cleared as a medical device.",
        "data_source": "Made up.",
        "references": [],
        "changelog": {"0.1.0": "First."},
        "labels": [label],
        "findings": [
            {
                "label": label,
                "en": en,
                "zh": zh,
                "codes": [{"system": "http://example.org", **code}],
            }
        ],
        "statement": {"en": "For tests.", "zh": "仅供测试。"},
        "rules": [rule],
        "limits": ["It is a toy."],
    }
