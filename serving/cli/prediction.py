"""`zhuzhen predict`: files in, answers out."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models import store
from models.errors import InputTooLargeError
from models.findings import PreRead, Reason, Text, Verdict
from models.preprocessing import ImageKind
from models.table import TableSpec
from serving.access import Guard, open_guard
from serving.answers import Answer, answer_of, write_json
from serving.archive.patients import patient_in
from serving.cli.answers_table import console_for_people, footnotes_of, table_of
from serving.cli.operating import permit
from serving.cli.people_prediction import predict_people
from serving.gate import refuse_unreadable
from serving.identity.local import LOCAL
from serving.imaging import DEFAULT_LIMITS
from serving.overlay import draw_overlay, png_of
from serving.policy import Action, Target
from serving.recognition import Reading, Recognizer
from serving.settings import Settings
from serving.shelf import Shelf

_ALL_ANSWERED = 0
_NOT_ALL_OPENED = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file."""

    answer: Answer
    opened: bool


def predict_files(model: str, files: Sequence[Path], *, out: Path | None, as_json: bool) -> int:
    """Answer for each of `files`, in their order, and return the exit status.

    With `out`, a picture of each pre-read is written into that folder as `<stem>.overlay.png`, or
    with a number where that name is an input or another picture's.

    Raises:
        PackageError: there is no such package, or it must not be loaded.
    """
    settings = Settings.from_environment()
    package = store.load(model)
    if isinstance(package.spec, TableSpec):
        with open_guard() as guard:
            return predict_people(guard, package, files, as_json=as_json)
    recognizer = Shelf(settings.precision).recognizer(model)
    pictures = _picture_paths(files, out)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with open_guard() as guard, ThreadPoolExecutor(settings.threads) as readers:
        outcomes = readers.map(partial(_read, guard, recognizer), files, pictures)
        try:
            all_opened = _show(outcomes, len(files), as_json=as_json)
        except BaseException:
            # An interrupt must not wait for all the files that were not read yet.
            readers.shutdown(cancel_futures=True)
            raise
    return _ALL_ANSWERED if all_opened else _NOT_ALL_OPENED


def _read(guard: Guard, recognizer: Recognizer, path: Path, picture: Path | None) -> Outcome:
    """Read one file and, if wanted, draw its picture; that it is done is on record first."""
    is_tile = recognizer.package.input_spec.kind == ImageKind.TILE
    found = _content(path)
    patient = patient_in(LOCAL, found, guard.keyring) if isinstance(found, bytes) else None
    action = Action.CLASSIFY_PATHOLOGY if is_tile else Action.RECOGNIZE
    permit(guard, "predict", action, Target("image", LOCAL, patient))
    opened = not isinstance(found, OSError)
    reading = recognizer.read(found) if isinstance(found, bytes) else _refused(recognizer, found)
    # Names need not be valid text; JSON must be.
    source = os.fsencode(path).decode("utf-8", "replace")
    if picture is not None:
        picture.write_bytes(png_of(draw_overlay(reading, Path(source).name)))
    statement = recognizer.package.statement
    return Outcome(answer_of(reading.pre_read, source=source, intended_use=statement), opened)


def _content(path: Path) -> bytes | OSError | InputTooLargeError:
    """Return what a file holds, or why it is not looked at."""
    try:
        with path.open("rb") as stream:
            DEFAULT_LIMITS.check_bytes(os.fstat(stream.fileno()).st_size)
            # A pipe has no size before it is read.
            return stream.read(DEFAULT_LIMITS.max_bytes + 1)
    except (OSError, InputTooLargeError) as error:
        return error


def _refused(recognizer: Recognizer, error: OSError | InputTooLargeError) -> Reading:
    """Return the reading of a file of which not a byte was looked at."""
    reason = (
        _not_opened(error) if isinstance(error, OSError) else refuse_unreadable(error).reasons[0]
    )
    pre_read = PreRead(
        model=recognizer.package.reference_to,
        verdict=Verdict.UNREADABLE,
        reasons=(reason,),
        findings=(),
        facts=None,
        quality=None,
        ood_score=None,
    )
    return Reading(pre_read, None, {})


def _not_opened(error: OSError) -> Reason:
    told = error.strerror or "unknown error"
    message = Text(
        f"the file could not be opened: {told}; check its path and permissions",
        f"无法打开文件（{told}）；请检查路径与权限",
    )
    return Reason("file_access", told, "a file that can be read", message)


def _show(outcomes: Iterator[Outcome], total: int, *, as_json: bool) -> bool:
    """Write the answers to standard output and return whether all files could be opened."""
    all_opened = True
    answers = []
    for outcome in _with_progress(outcomes, total):
        all_opened = all_opened and outcome.opened
        if as_json:
            # JSON is UTF-8 (RFC 8259), whatever the terminal is set to.
            typer.echo(write_json(outcome.answer).encode())
        else:
            answers.append(outcome.answer)
    if not as_json:
        console_for_people().print(table_of(answers), footnotes_of(answers))
    return all_opened


def _with_progress(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Pass on `outcomes`, showing on standard error how many there were so far."""
    console = Console(stderr=True)
    columns = (TextColumn("Reading"), MofNCompleteColumn(), TimeRemainingColumn())
    shown = total > 1 and console.is_terminal
    with Progress(*columns, console=console, disable=not shown, transient=True) as progress:
        yield from progress.track(outcomes, total=total)


def _picture_paths(files: Sequence[Path], out: Path | None) -> list[Path | None]:
    """Return where the picture of each file goes: to no input, and no two to one place."""
    if out is None:
        return [None] * len(files)
    taken = {_place(path) for path in files}
    names: dict[str, Iterator[Path]] = {}
    paths: list[Path | None] = []
    for path in files:
        candidates = names.setdefault(path.stem, _picture_names(out, path.stem))
        picture = next(name for name in candidates if _place(name) not in taken)
        taken.add(_place(picture))
        paths.append(picture)
    return paths


def _picture_names(out: Path, stem: str) -> Iterator[Path]:
    yield out / f"{stem}.overlay.png"
    for number in count(2):
        yield out / f"{stem}-{number}.overlay.png"


def _place(path: Path) -> str:
    """Return what tells two files apart, also where links lead or names ignore case."""
    return os.path.realpath(path).casefold()
