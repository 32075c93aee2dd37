"""What the card of a model of people says of changed inputs, and the picture of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.card_tables import table_of
from training.tables.robustness import KEY

PICTURE = "robustness.png"
CAPTION = "Share of decisions that change where one input is changed for everybody."
_CHANGES = {
    "varied": ("varied as on another day", "o"),
    "rounded": ("rounded", "s"),
    "missing": ("missing", "x"),
    "lowest": ("at the lowest accepted value", "<"),
    "highest": ("at the highest accepted value", ">"),
}


def robustness_section(evaluation: Mapping[str, Any]) -> str:
    """Return the section; empty for an evaluation that was made before there was one."""
    facts = evaluation.get(KEY)
    if facts is None:
        return ""
    units = {each["name"]: each["unit"] for each in evaluation["inputs"]}
    return "\n".join(
        [
            "## When the inputs are changed · 输入改变时",
            "",
            f"{facts['people']} people of the test part, all changed alike; where chance is in it, "
            f"means over {facts['draws']} draws. A decision has changed where the probability "
            "crossed the operating point; refused are people whose inputs together are then too "
            "far from the training data. Values are kept within what is accepted.",
            "",
            "对测试集全部人员同样改变输入；涉及随机时取多次抽取的均值。概率越过工作点即计为判断改变。",
            "",
            *_together(facts),
            "",
            *_alone(facts, units),
            "",
            *_sizes(facts, units),
            "",
            *_ends(facts, units),
        ]
    )


def _together(facts: Mapping[str, Any]) -> list[str]:
    plain = facts["changes"]["unchanged"]
    rows = [
        f"| {name} | {each['auc']:.3f} | {_signed(each['auc'] - plain['auc'])} | "
        f"{each['calibration_error']:.3f} | {each['mean_probability_change']:.3f} | "
        f"{each['changed_decisions']:.1%} | {each['refused_share']:.1%} |"
        for name, each in facts["changes"].items()
    ]
    heads = ("change", "AUC", "its change", "calibration error", "mean change of the probability")
    return table_of((*heads, "decisions changed", "refused"), rows)


def _alone(facts: Mapping[str, Any], units: Mapping[str, str]) -> list[str]:
    plain, rows = facts["changes"]["unchanged"], []
    for name, each in facts["inputs"].items():
        rounded = each.get("rounded")
        step = f"{each['rounded_to']:g} {units[name]}".strip() if rounded else "-"
        cells = [
            f"`{name}`",
            *_moved(each["varied"], plain),
            step,
            f"{rounded['changed_decisions']:.1%}" if rounded else "-",
            *(_moved(each["missing"], plain) if "missing" in each else ["not accepted", "-", "-"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return table_of(
        (
            "one input",
            *("varied: AUC", "calibration error", "decisions changed"),
            *("rounded to", "decisions changed"),
            *("missing: AUC", "calibration error", "decisions changed"),
        ),
        rows,
    )


def _moved(after: Mapping[str, float], plain: Mapping[str, float]) -> list[str]:
    """Return the changes of AUC and calibration error, and the share of decisions changed."""
    return [
        _signed(after["auc"] - plain["auc"]),
        _signed(after["calibration_error"] - plain["calibration_error"]),
        f"{after['changed_decisions']:.1%}",
    ]


def _signed(change: float) -> str:
    """Return a change with its sign; 0 where three places show none."""
    told = f"{change:+.3f}"
    return "0" if float(told) == 0 else told


def _sizes(facts: Mapping[str, Any], units: Mapping[str, str]) -> list[str]:
    """Return by how much each input was varied, and who says so."""
    lines = ["Inputs were varied at random, within a person, by:", ""]
    chosen = []
    for name, each in facts["inputs"].items():
        size = each.get("variation")
        if size is None:
            continue
        told = f"{size['sd']:.3g} {units[name]}" if "sd" in size else f"{size['cv_percent']:g} %"
        if size["source"] is None:
            chosen.append(f"`{name}` {told.strip()}")
        else:
            lines.append(f"- `{name}`: standard deviation {told.strip()} ({size['source']})")
    if chosen:
        lines.append(
            f"- {facts['spread_share']:.0%} of the spread over the training part, which is our "
            f"choice: {', '.join(chosen)}"
        )
    if any("variation" not in each for each in facts["inputs"].values()):
        lines.append(
            f"- categories: {facts['category_share']:.0%} of the people get that of another one, "
            "which is our choice"
        )
    return lines


def _ends(facts: Mapping[str, Any], units: Mapping[str, str]) -> list[str]:
    rows = []
    for name, each in facts["inputs"].items():
        if "lowest" not in each and "highest" not in each:
            continue
        cells = [f"`{name}`"]
        for end in ("lowest", "highest"):
            cells += _end(each.get(end), units[name])
        rows.append(f"| {' | '.join(cells)} |")
    of_an_end = ("mean change of the probability", "decisions changed", "refused")
    return [
        "Everybody at the ends of what is accepted. Beyond what half a percent of the training "
        "data reach a curve is constant: a wild value moves the answer no further than a rare one:",
        "",
        *table_of(("one input", "lowest", *of_an_end, "highest", *of_an_end), rows),
    ]


def _end(figures: Mapping[str, float] | None, unit: str) -> list[str]:
    if figures is None:
        return ["-"] * 4
    return [
        f"{figures['value']:g} {unit}".strip(),
        _signed(figures["mean_shift"]),
        f"{figures['changed_decisions']:.1%}",
        f"{figures['refused_share']:.1%}",
    ]


def draw_robustness(facts: Mapping[str, Any], path: Path) -> Path:
    """Draw for each input the share of decisions that each change of it changes."""
    names = list(facts["inputs"])
    figure = Figure(figsize=(7.5, 0.32 * len(names) + 1.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    for change, (label, marker) in _CHANGES.items():
        rows = [at for at, name in enumerate(names) if change in facts["inputs"][name]]
        shares = [100 * facts["inputs"][names[at]][change]["changed_decisions"] for at in rows]
        if rows:
            axes.plot(shares, rows, marker, label=label, alpha=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=-1)
    axes.grid(visible=True, color="0.92")
    axes.set_xlabel("decisions changed (%)")
    axes.legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
