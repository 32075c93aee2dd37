"""What the demonstration sends: radiographs to be read and files to be refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.data import get_testdata_file

from models.errors import ZhuzhenError
from models.findings import Verdict

EXAMPLES = Path(__file__).parents[2] / "examples"

_REFUSED = frozenset({Verdict.OUTSIDE_INTENDED_USE, Verdict.OUT_OF_DISTRIBUTION})


class DemoError(ZhuzhenError):
    """The demonstration cannot be given, or did not come out as it must."""


@dataclass(frozen=True, slots=True)
class DemoInput:
    """One file that is sent."""

    name: str
    """File name, as the service is told it."""
    known: str
    """What it really is, for people."""
    data: bytes
    expected: frozenset[Verdict]
    """Verdicts of which the answer must have one."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an input comes from."""

    file: str
    known: str
    expected: frozenset[Verdict]


_CHILDREN = tuple(
    _Source(file, f"chest of a child, {published}", frozenset({Verdict.ACCEPTED}))
    for file, published in (
        ("child-normal-1.dcm", "published as normal"),
        ("child-normal-2.dcm", "published as normal"),
        ("child-pneumonia-1.dcm", "published as bacterial pneumonia"),
        ("child-pneumonia-2.dcm", "published as bacterial pneumonia"),
    )
)
_OTHERS = (
    _Source("RG1_J2KR.dcm", "chest of an adult", frozenset({Verdict.OUTSIDE_INTENDED_USE})),
    _Source("RG3_J2KR.dcm", "lower leg of an adult", _REFUSED),
    _Source("US1_J2KR.dcm", "ultrasound", _REFUSED),
)
_TO_TRUNCATE = "RG1_UNCR.dcm"


def demo_inputs() -> list[DemoInput]:
    """Return all inputs, in the order in which they are sent and shown.

    Raises:
        DemoError: a file is not here; says what brings it.
    """
    return [*_children(), *_others(), _truncated()]


def _children() -> Iterator[DemoInput]:
    for source in _CHILDREN:
        path = EXAMPLES / source.file
        if not path.is_file():
            raise DemoError(
                f"examples/{source.file} is not here; the demonstration needs a full checkout of "
                "the project."
            )
        yield DemoInput(source.file, source.known, path.read_bytes(), source.expected)


def _others() -> Iterator[DemoInput]:
    for source in _OTHERS:
        yield DemoInput(source.file, source.known, _pydicom_file(source.file), source.expected)


def _truncated() -> DemoInput:
    """Return the first half of a radiograph, as a broken transfer leaves it."""
    data = _pydicom_file(_TO_TRUNCATE)
    return DemoInput(
        "truncated.dcm",
        "first half of a radiograph's file",
        data[: len(data) // 2],
        frozenset({Verdict.UNREADABLE}),
    )


def _pydicom_file(name: str) -> bytes:
    found = get_testdata_file(name, download=False)
    if not isinstance(found, str):
        raise DemoError(
            f"{name} is not here: the package pydicom-data brings it. `make demo` installs that, "
            "as does: pip install --constraint constraints.txt pydicom-data"
        )
    return Path(found).read_bytes()
