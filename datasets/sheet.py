"""The data sheet of a manifest: what a reader must know before trusting a model made from it.

The headings follow Gebru et al., Datasheets for Datasets, Commun ACM 2021;64:86.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets.description import Description
from datasets.manifest import Manifest
from datasets.reviews.summary import told


def render_sheet(
    description: Description, manifest: Manifest, reviews: Mapping[str, Any] | None = None
) -> str:
    """Return the data sheet in Markdown; `reviews` say which made this version of the manifest."""
    sheet = description.sheet
    lines = [
        f"# {description.name} {manifest.version}",
        "",
        f"{sheet['title']['en']} / {sheet['title']['zh']}",
        "",
        f"`{manifest.digest}`",
        "",
        "## Origin 来源",
        "",
        sheet["origin"],
        "",
        f"- Licence: {sheet['licence']}",
        f"- Citation: {sheet['citation']}",
        f"- How to obtain it: {sheet['obtain']}",
        "",
        "## Population 人群",
        "",
        sheet["population"],
        "",
        "## Composition 构成",
        "",
        *_composition(manifest),
    ]
    if manifest.features:
        lines += ["", "## Features 特征", "", *_features(manifest)]
    if reviews is not None:
        lines += ["", "## Reviews 复核", "", *told(reviews)]
    if sheet.get("traps"):
        lines += ["", "## Known traps 已知陷阱", "", *(f"- {trap}" for trap in sheet["traps"])]
    return "\n".join(lines) + "\n"


def _composition(manifest: Manifest) -> list[str]:
    rows = [("samples", len(manifest)), ("groups", len(set(manifest.groups().tolist())))]
    for title, values in (
        ("label", [label for s in manifest for label in (s.present or ("none",))]),
        ("subtype", manifest.subtypes().tolist()),
        ("site", [site or "not known" for site in manifest.sites().tolist()]),
        ("sex", [sex or "not known" for sex in manifest.sexes().tolist()]),
    ):
        rows += [(f"{title}: {value}", count) for value, count in Counter(values).most_common()]
    ages = manifest.ages_years()
    known = ages[np.isfinite(ages)]
    lines = ["| what | count |", "|---|---|", *(f"| {what} | {count} |" for what, count in rows)]
    if len(known):
        low, middle, high = np.percentile(known, [5, 50, 95])
        lines += [
            "",
            f"Age: median {middle:.0f} years, 5th to 95th percentile {low:.0f}-{high:.0f}.",
        ]
    return lines


def _features(manifest: Manifest) -> list[str]:
    lines = ["| feature | unit | missing |", "|---|---|---|"]
    for at, feature in enumerate(manifest.features):
        missing = sum(sample.features[at] is None for sample in manifest)
        lines.append(f"| {feature.name} | {feature.unit or '-'} | {missing} |")
    return lines
