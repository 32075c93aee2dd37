"""`zhuzhen jobs` and `zhuzhen route`: what an operator asks of the imaging node."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from serving.answers import write_json

jobs_app = typer.Typer(
    no_args_is_help=True,
    help="Jobs of the imaging node: each study that was read, or is to be, or could not be.",
)
route_app = typer.Typer(
    no_args_is_help=True, help="Routing rules of the imaging node: what would happen, and why."
)
Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]
JobId = Annotated[str, typer.Argument(help="Identifier, as `zhuzhen jobs list` shows it.")]


@jobs_app.command("list")
def list_them(
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those: queued, running, done, failed, unrouted, superseded; or dead, for "
            "all that failed or could not be delivered."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 100,
    json: Json = False,
) -> None:
    """List jobs, the newest first."""
    from rich.table import Column, Table

    from serving.cli.answers_table import console_for_people
    from serving.cli.job_orders import list_all

    lines = list_all(state, limit)
    if json:
        for line in lines:
            typer.echo(write_json(asdict(line)))
        return
    whole = [Column(name, no_wrap=True) for name in ("job", "priority", "state")]
    folded = [Column(name, overflow="fold") for name in ("created", "source", "deliveries", "why")]
    table = Table(*whole, *folded)
    for line in lines:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.created_at))
        sent = ", ".join(f"{name}: {found}" for name, found in line.deliveries.items())
        why = [f"{name}: {reason}" for name, reason in line.undelivered.items()]
        told = " | ".join(filter(None, (line.reason, *why)))
        table.add_row(line.id, line.priority, line.state, created, line.source, sent or "-", told)
    console_for_people().print(table)


@jobs_app.command("show")
def show(job: JobId, json: Json = False) -> None:
    """Show one job: rules, results, deliveries, and why it failed if it did."""
    from serving.cli.job_orders import show_one

    found = show_one(job)
    if json:
        typer.echo(write_json(found))
        return
    for name, value in found.items():
        if isinstance(value, list):
            typer.echo(f"{name}:" + ("" if value else " none"))
            for each in value:
                typer.echo("  - " + ", ".join(f"{key} {told}" for key, told in each.items()))
        else:
            typer.echo(f"{name}: {value}")


@jobs_app.command("retry")
def retry(job: JobId, json: Json = False) -> None:
    """Try anew what failed of a job: reading, delivering, or finding a rule that fits it."""
    from serving.cli.job_orders import retry_one

    for each in retry_one(job):
        typer.echo(write_json({"retried": each}) if json else f"{each} is queued again.")


@route_app.command("explain")
def explain(
    file: Annotated[Path, typer.Argument(help="A DICOM file.", dir_okay=False)],
    source: Annotated[
        str | None, typer.Option(help="Source it would come from, by its name in node.yaml.")
    ] = None,
    node: Annotated[
        Path | None, typer.Option(help="The file with the rules; by default node.yaml at home.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which rule FILE would follow, and why those before it do not fit."""
    told = _explained(file, source, node)
    if json:
        typer.echo(write_json(told))
        return
    facts = told["facts"]
    typer.echo("Facts: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    for passed in told["passed_over"]:
        typer.echo(f"Not {passed['rule']}: {passed['why']['en']} / {passed['why']['zh']}")
    if told["rule"] is None:
        typer.echo("No rule fits: the study is kept and listed as unrouted; nothing runs.")
        typer.echo("没有匹配的规则：检查将被保存并列为“未路由”，不会运行任何模型。")
        return
    typer.echo(
        f"Rule {told['rule']}: read by {', '.join(told['models'])}, {told['priority']}, results "
        f"to {', '.join(told['destinations']) or 'nowhere'}."
    )


def _explained(file: Path, source: str | None, node_file: Path | None) -> dict[str, Any]:
    from serving.access import open_guard
    from serving.archive.file_meta import open_file
    from serving.archive.header import read_instance_header
    from serving.archive.patients import patient_of
    from serving.cli.operating import permit
    from serving.identity.local import LOCAL
    from serving.policy import Action, Target
    from serving.routing import choose, facts_of, read_node

    node = read_node(node_file)
    opened = open_file(file.read_bytes())
    header = read_instance_header(opened.data_set, opened.transfer_syntax_uid)
    name = source or (node.sources[0].name if node.sources else "-")
    with open_guard() as guard:
        target = Target("image", LOCAL, patient_of(LOCAL, header.study, guard.keyring))
        permit(guard, "route.explain", Action.READ_ROUTING, target)
    instance = header.instance | header.routing
    facts = facts_of(header.study, header.series, instance, name)
    choice = choose(node.rules, facts)
    rule = choice.rule
    return {
        "facts": asdict(facts),
        "passed_over": [
            {"rule": passed, "why": asdict(text)} for passed, text in choice.passed_over
        ],
        "rule": rule.name if rule else None,
        "models": list(rule.models) if rule else [],
        "priority": rule.priority.value if rule else None,
        "destinations": list(rule.destinations) if rule else [],
    }
