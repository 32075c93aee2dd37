"""Records as a table for people, or as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.table import Column, Table

from serving.answers import write_json
from serving.cli.answers_table import console_for_people


def show_rows(found: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Show the `columns` of records; in JSON all of each, one a line."""
    if as_json:
        for one in found:
            typer.echo(write_json(dict(one)).encode())
        return
    table = Table(*(Column(column.replace("_", " "), overflow="fold") for column in columns))
    for one in found:
        table.add_row(*(_cell(one[column]) for column in columns))
    console_for_people().print(table)


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
