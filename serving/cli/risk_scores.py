"""What `zhuzhen risk list|show|score` do."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table

from models.errors import InputError
from models.findings import Text
from models.risk.assessment import NOTICE, Assessment
from models.risk.inputs import INPUTS
from models.risk.refusals import needed_text
from models.risk.registry import ENABLED_SETTING, all_scores, find, is_on
from models.risk.scales import Scale
from models.risk.score import Score
from models.risk.shown import shown, shown_unit
from serving.access import open_guard
from serving.answers import write_json
from serving.cli.answers_table import console_for_people
from serving.cli.operating import permit
from serving.identity.local import LOCAL
from serving.policy import Action, Target
from serving.risk.answers import answer_of, description_of
from serving.risk.choosing import assess_all, chosen_scores, enabled_scores

_LARGEST_CHARACTERS = 100_000


def list_scores(*, as_json: bool) -> None:
    """List every score, those on by default first."""
    enabled = enabled_scores()
    if as_json:
        for score in all_scores():
            typer.echo(write_json(description_of(score, enabled=is_on(score, enabled))))
        return
    table = Table(
        "Score", Column("评分", overflow="fold"), "On", Column("Why off", overflow="fold")
    )
    for score in all_scores():
        on = is_on(score, enabled)
        why = "" if on or score.off_because is None else _both(score.off_because)
        table.add_row(score.id, _both(score.title), "yes" if on else "no", why)
    console = console_for_people()
    console.print(table)
    console.print(f"An operator enables further ones by name: {ENABLED_SETTING}=ID,ID")


def show_score(score_id: str, *, as_json: bool) -> None:
    """Show what a score takes, for whom it was made and how it was verified.

    Raises:
        UnknownScoreError: there is none of that id.
    """
    score = find(score_id)
    if as_json:
        enabled = is_on(score, enabled_scores())
        typer.echo(write_json(description_of(score, enabled=enabled)))
        return
    console = console_for_people()
    console.print(
        f"{score.id}  {_both(score.title)}  [{score.version}]", style="bold", markup=False
    )
    for label, text in (
        ("Outcome / 结局", score.outcome),
        ("Population / 适用人群", score.population),
        ("Limits / 注意", score.limits),
        ("Categories / 分级依据", score.guideline),
        ("Terms / 使用条款", score.terms),
        *((("Off / 未启用", score.off_because),) if score.off_because else ()),
    ):
        console.print(f"\n{label}", style="bold")
        console.print(text.en, text.zh, sep="\n", markup=False)
    console.print(_needs_table(score), _bands_table(score))
    console.print(f"Formula: {score.formula}\nSource: {score.citation}", markup=False)
    console.print(f"Verified: {score.verified}\nDeviations: {score.deviations}", markup=False)
    console.print(_both(NOTICE), style="bold")


def score_one(asked: str, written: str, *, as_json: bool) -> None:
    """Score one person by the score that was asked for, or by all that apply.

    Raises:
        InputError: what was written is no JSON object, an input is not known, or the score is not.
    """
    scores = chosen_scores(asked, enabled_scores())
    person = _person(written)
    with open_guard() as guard:
        permit(guard, "risk.score", Action.SCORE_RISK, Target("assessment", LOCAL))
    assessments = assess_all(scores, person)
    if as_json:
        for assessment in assessments:
            typer.echo(write_json(answer_of(assessment)))
        return
    console = console_for_people()
    for assessment in assessments:
        _print_assessment(console, assessment)
    console.print(_both(NOTICE), style="bold")


def _person(written: str) -> dict[str, object]:
    if written == "-":
        written = sys.stdin.read(_LARGEST_CHARACTERS + 1)
    if not written:
        raise InputError("Nothing is known about the person; give an object with --json.")
    if len(written) > _LARGEST_CHARACTERS:
        raise InputError(f"The object is too large; up to {_LARGEST_CHARACTERS} characters fit.")
    try:
        person: Any = json.loads(written, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("What follows --json is no valid JSON object.") from None
    if not isinstance(person, dict):
        raise InputError("What follows --json must be one JSON object: inputs by their names.")
    return person


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise InputError("A name stands twice in the JSON object; each input may be given once.")
    return dict(pairs)


def _both(text: Text) -> str:
    return f"{text.en} / {text.zh}" if text.en != text.zh else text.en


def _needs_table(score: Score) -> Table:
    table = Table("Input", Column("Label / 名称", overflow="fold"), "Needs", "LOINC")
    for need in score.needs:
        entry = INPUTS[need.name]
        told = needed_text(need).en
        optional = "" if need.required else " (optional)"
        default = "" if need.default is None else f", else {_default(need.name, need.default)}"
        table.add_row(
            need.name, _both(entry.label), f"{told}{default}{optional}", ", ".join(entry.loinc[:2])
        )
    return table


def _default(name: str, value: float) -> str:
    told = shown(name, value)
    return told.en if told else ""


def _bands_table(score: Score) -> Table:
    table = Table("Category", "Meaning / 含义", "From")
    unit = shown_unit(score.unit).en
    for band in score.bands:
        start = "" if band.from_value == float("-inf") else f"{band.from_value:g}{unit}"
        table.add_row(band.name, _both(band.label), start)
    return table


def _print_assessment(console: Console, assessment: Assessment) -> None:
    score = assessment.score
    console.print(f"\n{assessment.summary.zh}\n{assessment.summary.en}", style="bold", markup=False)
    lines: Sequence[Text] = (
        *(refusal.told for refusal in assessment.refusals),
        *((assessment.near_edge,) if assessment.near_edge else ()),
        *assessment.alerts,
        *(
            (assessment.category.advice,)
            if assessment.category and assessment.category.advice
            else ()
        ),
        *assessment.remarks,
        *(one.told for one in assessment.what_ifs),
    )
    for line in lines:
        console.print(f"- {line.zh}\n  {line.en}", markup=False)
    for stage in assessment.stages:
        console.print(f"  {_both(stage.label)}: {stage.stage}", markup=False)
    if assessment.contributions:
        console.print(_contributions_table(assessment))
    console.print(
        f"  {score.population.zh} / {score.population.en}\n  {score.citation} [{score.version}]",
        style="dim",
        markup=False,
    )


def _contributions_table(assessment: Assessment) -> Table:
    points = assessment.score.scale is Scale.VALUE
    table = Table(
        "Input / 因素",
        "Value / 数值",
        "Against / 参照",
        "Points / 分" if points else "Factor / 倍数",
    )
    used = {one.name: one.shown for one in assessment.inputs}
    for one in assessment.contributions:
        own, against = used.get(one.input), shown(one.input, one.reference)
        amount = f"{one.amount:+g}" if one.factor is None else f"×{one.factor:.2f}"
        table.add_row(
            _both(INPUTS[one.input].label),
            own.zh if own else "",
            against.zh if against else "",
            amount,
        )
    return table
