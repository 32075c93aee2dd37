"""`zhuzhen dicom echo` and `send`: what a destination says, told file by file."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import Progress

from serving.access import Guard, open_guard
from serving.answers import write_json
from serving.archive.patients import patient_in
from serving.cli.operating import permit
from serving.destinations import (
    Destination,
    DicomFile,
    NotADicomFileError,
    Outcome,
    State,
    destination_of,
    is_dicom_file,
)
from serving.identity.local import LOCAL
from serving.peers import PeerError
from serving.policy import Action, Target

_MOST_BYTES_AT_ONCE = 256 * 2**20
"""Of the files that are held in memory and sent over one association."""
_NOT_NAMED = re.compile(r"[^A-Za-z0-9._:@-]")


def echo(address: str, *, calling_ae_title: str, timeout_s: float, as_json: bool) -> int:
    """Tell whether the destination at `address` is there; return the exit status.

    Raises:
        DestinationSettingError: the address cannot be used.
    """
    destination = _destination(address, calling_ae_title, timeout_s)
    try:
        destination.check()
    except PeerError as error:
        reason = str(error)
    else:
        reason = ""
    if as_json:
        told = {"destination": address, "reached": not reason, "reason": reason}
        typer.echo(write_json(told))
    elif reason:
        typer.echo(f"zhuzhen: {reason}", err=True)
    else:
        typer.echo(f"{address} is there and lets us in.")
    return 1 if reason else 0


def send(
    address: str,
    paths: list[Path],
    *,
    calling_ae_title: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Send the files and tell what became of each; return the exit status.

    Raises:
        DestinationSettingError: the address cannot be used.
        NotPermittedError: that something is sent cannot be recorded.
        OSError: a path does not exist or cannot be read.
    """
    destination = _destination(address, calling_ae_title, timeout_s)
    files = list(_files(paths))
    failed = delivered = 0
    with open_guard() as guard, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Sending", total=len(files))
        for path, outcome in _outcomes(_Recorded(guard, destination, address), files):
            progress.advance(task)
            done = outcome.state is State.DELIVERED
            delivered, failed = delivered + done, failed + (not done)
            _tell(path, outcome, as_json=as_json)
    if not as_json:
        typer.echo(f"{delivered} of {len(files)} files delivered to {address}.")
    return 1 if failed else 0


def _destination(address: str, calling_ae_title: str, timeout_s: float) -> Destination:
    entry = {"to": address, "calling_ae_title": calling_ae_title, "timeout_s": timeout_s}
    return destination_of(entry)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Return the paths, folders as the DICOM files below them; what else lies there is left."""
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.is_file())
            yield from (each for each in found if is_dicom_file(each))
        else:
            yield path


def _outcomes(destination: "_Recorded", paths: list[Path]) -> Iterator[tuple[Path, Outcome]]:
    batch: list[tuple[Path, DicomFile]] = []
    size = 0
    for path in paths:
        data = path.read_bytes()
        try:
            file = DicomFile.of(data)
        except NotADicomFileError as error:
            yield path, Outcome("", State.REFUSED, str(error))
            continue
        if batch and size + len(data) > _MOST_BYTES_AT_ONCE:
            yield from _deliver(destination, batch)
            batch, size = [], 0
        batch.append((path, file))
        size += len(data)
    if batch:
        yield from _deliver(destination, batch)


def _deliver(
    destination: "_Recorded", batch: list[tuple[Path, DicomFile]]
) -> Iterator[tuple[Path, Outcome]]:
    outcomes = destination.deliver([file for _, file in batch])
    yield from zip((path for path, _ in batch), outcomes, strict=True)


class _Recorded:
    """A destination that gets nothing before it is on record whose it is."""

    def __init__(self, guard: Guard, destination: Destination, address: str) -> None:
        self._guard = guard
        self._destination = destination
        self._operation = f"dicom.send:{_named(address)}"

    def deliver(self, files: Sequence[DicomFile]) -> Sequence[Outcome]:
        """Send the files of one batch.

        Raises:
            NotPermittedError: that it is done cannot be recorded.
        """
        keyring = self._guard.keyring
        patients = {patient_in(LOCAL, file.data, keyring) for file in files}
        for patient in sorted(patients, key=str):
            target = Target("image", LOCAL, patient)
            permit(self._guard, self._operation, Action.DELIVER_RESULTS, target)
        return self._destination.deliver(files)


def _named(address: str) -> str:
    """Return what the audit record calls an address: neither a password nor a path."""
    if address.startswith("folder:"):
        return "folder"
    if "://" in address:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or parts.scheme}"
    return _NOT_NAMED.sub("_", address)


def _tell(path: Path, outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        told = {
            "file": str(path),
            "sop_instance_uid": outcome.sop_instance_uid,
            "state": outcome.state.value,
            "reason": outcome.reason,
        }
        typer.echo(write_json(told))
    elif outcome.state is not State.DELIVERED:
        typer.echo(f"{path}: {outcome.state.value.replace('_', ' ')}: {outcome.reason}", err=True)
