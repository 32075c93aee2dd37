"""`zhuzhen demo`: starts the service, sends it files as a client would, shows what came back."""

import base64
import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import typer
from PIL import Image
from rich.console import Console

from serving.answers import Answer, write_json
from serving.attached import AttachedService, ServiceNotStartedError, attached_service
from serving.cli.answers_table import console_for_people, footnotes_of, table_of
from serving.contact_sheet import Tile, draw_contact_sheet
from serving.demo.inputs import DemoError, DemoInput, demo_inputs

_TIMEOUT_S = 60
_AS_EXPECTED = 0
_NOT_AS_EXPECTED = 1


@dataclass(frozen=True, slots=True)
class Exchange:
    """One input and what the service answered."""

    sent: DemoInput
    answer: Answer
    picture: bytes
    """PNG: the image, what speaks for a finding, and the words for it."""


def run_demo(out: Path, *, as_json: bool) -> int:
    """Give the demonstration, write its results into `out`, and return the exit status.

    Raises:
        DemoError: an input is missing, or the service failed on a request.
        ServiceNotStartedError: the service could not be started; `out` has its log.
    """
    inputs = demo_inputs()
    _clear(out)
    _say("Starting the service ...")
    exchanges = []
    with (
        _service(out / "service.log") as service,
        httpx.Client(base_url=service.url, headers=service.headers) as client,
    ):
        _say(f"Sending {len(inputs)} files to {service.url}/v1/recognize ...")
        for sent in inputs:
            exchanges.append(_exchange(client, sent))
    _write(exchanges, out)
    _show(exchanges, out, as_json=as_json)
    surprises = list(_surprises(exchanges))
    for surprise in surprises:
        _say(f"NOT AS EXPECTED: {surprise}")
    return _NOT_AS_EXPECTED if surprises else _AS_EXPECTED


@contextlib.contextmanager
def _service(log: Path) -> Iterator[AttachedService]:
    with log.open("wb") as stream:
        try:
            with attached_service(log=stream.fileno()) as service:
                yield service
        except ServiceNotStartedError as error:
            told = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise DemoError(f"{error} Its last words: {' '.join(told[-1:])}") from error


def _exchange(client: httpx.Client, sent: DemoInput) -> Exchange:
    try:
        if client.get("/readyz").is_error:
            raise DemoError("The service says that it is not ready; its log has the reason.")
        response = client.post(
            "/v1/recognize",
            params={"overlay": "true"},
            files={"file": (sent.name, sent.data, "application/dicom")},
            timeout=_TIMEOUT_S,
        )
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise DemoError(f"{sent.name}: the service gave no answer: {error}") from error
    (answer,) = response.json()["results"]
    # The picture becomes a file of its own.
    picture = base64.b64decode(answer.pop("overlay_png"))
    return Exchange(sent, answer, picture)


def _clear(out: Path) -> None:
    """Remove the results of an earlier demonstration, which must not be taken for this one's."""
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    for path in (out / "summary.json", out / "contact-sheet.png", *out.glob("overlays/*.png")):
        path.unlink(missing_ok=True)


def _write(exchanges: Sequence[Exchange], out: Path) -> None:
    answers = [exchange.answer for exchange in exchanges]
    summary = json.dumps(answers, ensure_ascii=False, allow_nan=False, indent=2)
    (out / "summary.json").write_text(f"{summary}\n", encoding="utf-8")
    for exchange in exchanges:
        name = Path(exchange.sent.name).with_suffix(".png").name
        (out / "overlays" / name).write_bytes(exchange.picture)
    tiles = [
        Tile(e.sent.name, e.sent.known, Image.open(io.BytesIO(e.picture)).convert("RGB"))
        for e in exchanges
    ]
    model = f"{answers[0]['model']} {answers[0]['version']}"
    draw_contact_sheet(tiles, f"Zhuzhen: {model}").save(out / "contact-sheet.png", optimize=True)


def _show(exchanges: Sequence[Exchange], out: Path, *, as_json: bool) -> None:
    answers = [exchange.answer for exchange in exchanges]
    if as_json:
        for answer in answers:
            typer.echo(write_json(answer).encode())
    else:
        known = [exchange.sent.known for exchange in exchanges]
        console_for_people().print(table_of(answers, known), footnotes_of(answers))
    _say(f"Written: {out / 'summary.json'}, {out / 'contact-sheet.png'}, {out / 'overlays'}")


def _surprises(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Tell each answer that is not what it must be."""
    for exchange in exchanges:
        verdict, expected = exchange.answer["verdict"], sorted(exchange.sent.expected)
        if verdict not in expected:
            reasons = "; ".join(exchange.answer["reasons"])
            yield (
                f"{exchange.sent.name} ({exchange.sent.known}): found {verdict}, expected "
                f"{' or '.join(expected)}. {reasons}"
            )


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
