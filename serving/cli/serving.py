"""`zhuzhen serve`: the service in this process."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from serving import launch
from serving.answers import write_json
from serving.identity.first_start import first_start
from serving.listening import Protection
from serving.names import ENVIRONMENT


def serve(
    host: str,
    port: int,
    *,
    names: Sequence[str],
    certificate: Path | None,
    key: Path | None,
    proxy: str | None,
    as_json: bool,
) -> None:
    """Serve until the process is told to stop.

    Raises:
        ListenError: what is sent there would not be protected, or the port cannot be had.
    """
    if names:
        os.environ[ENVIRONMENT] = ",".join(names)
    protection = Protection(certificate, key, proxy)
    if as_json:
        launch.serve_until(host, port, announce=_announce, protection=protection)
    else:
        launch.serve(host, port, protection)


def _announce(url: str) -> None:
    first = first_start()
    told = {"url": url, **({"first_start": asdict(first)} if first is not None else {})}
    typer.echo(write_json(told))
