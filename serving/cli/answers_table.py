"""Answers as a table that a person can read in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.fact_words import FACT_NAMES
from models.findings import Decision, Verdict
from serving.answers import NOTICE, Answer
from serving.finding_words import VERDICT_WORDS, finding_in_words

_NARROWEST_COLUMNS = 100
"""Characters; where no terminal says how wide it is, rich would take 80, too few for sentences."""
_VERDICT_STYLES = {
    "accepted": "green",
    "outside_intended_use": "yellow",
    "out_of_distribution": "yellow",
    "unreadable": "red",
}
_DECISION_STYLES = {
    Decision.PRESENT: "bold red",
    Decision.ABSENT: "green",
    Decision.INDETERMINATE: "yellow",
}


def console_for_people() -> Console:
    """Return a console on standard output that is wide enough for sentences."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _NARROWEST_COLUMNS)
    return console


def table_of(answers: Sequence[Answer], known: Sequence[str] | None = None) -> Table:
    """Return one row an answer; `known`, if given, says what each input really is."""
    table = Table(show_lines=True, expand=True)
    table.add_column("Input", ratio=4, overflow="fold")
    if known is not None:
        table.add_column("What it is", ratio=4)
    table.add_column("Verdict", ratio=3)
    table.add_column("Finding", ratio=4)
    table.add_column("Reasons", ratio=8)
    for index, answer in enumerate(answers):
        cells: list[RenderableType] = [Text(printable(answer["input"]))]
        if known is not None:
            cells.append(Text(known[index]))
        table.add_row(*cells, _verdict(answer), _findings(answer), _reasons(answer))
    return table


def footnotes_of(answers: Sequence[Answer]) -> Group:
    """Return which model answered, what it is for, and what must not be done with the answers."""
    lines: list[Text] = []
    models = {(a["model"], a["version"], a["digest"]): a["intended_use"] for a in answers}
    for (name, version, digest), intended_use in models.items():
        lines += [
            Text(f"{name} {version}  {digest}", style="dim", overflow="fold"),
            Text(intended_use["en"]),
            Text(intended_use["zh"]),
        ]
    return Group(*lines, Text(NOTICE.en, style="bold"), Text(NOTICE.zh, style="bold"))


def printable(text: str) -> str:
    """Return `text` without the characters by which a name could steer a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _verdict(answer: Answer) -> Text:
    verdict: str = answer["verdict"]
    words = VERDICT_WORDS[Verdict(verdict)]
    return Text(f"{words.en}\n{words.zh}", style=_VERDICT_STYLES[verdict])


def _findings(answer: Answer) -> Text:
    cell = Text("\n").join(_finding(finding) for finding in answer["findings"])
    return cell if cell else Text("none given", style="dim")


def _finding(finding: dict[str, Any]) -> Text:
    decision = Decision(finding["decision"])
    lines = finding_in_words(
        decision=decision,
        probability=finding["probability"],
        operating_point=finding["operating_point"],
        conformal_set=finding["conformal_set"],
        conformal_coverage=finding["conformal_coverage"],
    )
    return Text("\n").join(
        [
            Text(f"{finding['name']['en']} {finding['name']['zh']}"),
            Text(decision.value, style=_DECISION_STYLES[decision]),
            *(Text(line) for line in lines),
        ]
    )


def _reasons(answer: Answer) -> Text:
    against = [
        Text(printable(f"- {reason['message']['en']}\n  {reason['message']['zh']}"))
        for reason in answer["reason_details"]
        if not _is_unchecked(reason)
    ]
    unchecked = [reason for reason in answer["reason_details"] if _is_unchecked(reason)]
    if unchecked:
        names = [FACT_NAMES[reason["rule"]] for reason in unchecked]
        wanted = [
            f"{name.en} ({reason['expected']})"
            for name, reason in zip(names, unchecked, strict=True)
        ]
        told = (
            f"- not stated in the input, so not checked: {', '.join(wanted)}\n"
            f"  输入未注明，未能核对：{'、'.join(name.zh for name in names)}"
        )
        against.append(Text(told, style="dim"))
    return Text("\n").join(against)


def _is_unchecked(reason: dict[str, Any]) -> bool:
    """Whether a reason tells of a fact that the input does not state, and so against nothing."""
    return reason["rule"] in FACT_NAMES and reason["found"] is None
