"""A person's requests: a copy of everything, or its erasure (PIPL articles 45 and 47).

What the law keeps stays: the audit record, consents and overrides, all of which hold pseudonyms.
The policy refuses the erasure under a legal hold. Both are on record before they begin; an erasure
again with what it removed, so that it shows even if it is cut short.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence

from serving.access import Access
from serving.audit import Outcome
from serving.persons.person import Person, PersonalRecords
from serving.records import empty_log


def export_person(
    access: Access, parts: Sequence[PersonalRecords], person: Person
) -> Iterator[bytes]:
    """Return the pieces of a zip file of everything that there is of `person`.

    They are made one by one as they are asked for, and touch no disk.

    Raises:
        Problem: 403, it is not allowed.
        AuditUnavailableError: it cannot be recorded; nothing is given out.
    """
    access.require(person.target)
    access.settle()
    return _zipped(parts, person)


def erase_person(
    access: Access, parts: Sequence[PersonalRecords], person: Person
) -> dict[str, int]:
    """Remove everything of `person` but what the law keeps; return how much of each part.

    Raises:
        Problem: 403, it is not allowed, or a legal hold forbids it; nothing was removed.
        AuditUnavailableError: it cannot be recorded; nothing was removed.
    """
    access.require(person.target)
    access.settle()
    removed = {part.name: part.erase(person) for part in reversed(parts)}
    empty_log(access.guard.engine)
    access.note_result(Outcome.ALLOWED, f"removed-{sum(removed.values())}", person.target)
    access.settle()
    return removed


class _Pieces(io.RawIOBase):
    """Takes what the zip file is written into, until somebody takes it away."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._held += content
        return len(content)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        held, self._held = self._held, bytearray()
        return bytes(held)


def _zipped(parts: Sequence[PersonalRecords], person: Person) -> Iterator[bytes]:
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            for copy in part.export(person):
                archive.writestr(copy.name, copy.content)
                yield pieces.taken()
    yield pieces.taken()
