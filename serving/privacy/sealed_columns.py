"""Columns whose values are encrypted, and changing their keys while they are used.

    name: Mapped[str] = mapped_column(SealedText("patients.name"))

The database holds sealed tokens, the program sees plain text. Such a column cannot be searched or
sorted; keep a `blind_index` beside it to look equal values up. The archive and the worklist, whose
rows are written many together, seal their `attributes` themselves, as `table.column`.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    Dialect,
    Engine,
    String,
    Table,
    Text,
    TypeDecorator,
    literal,
    select,
    type_coerce,
    update,
)

from models.store import home
from serving.privacy.errors import SealError
from serving.privacy.keyring import Keyring, open_keyring
from serving.privacy.sealing import key_of, seal, unseal
from serving.records import writing

_MARK = "zs1."
_BATCH = 50
"""Rows of one transaction: others wait no longer than these take."""


class SealedText(TypeDecorator[str]):
    """Text that is encrypted in the database (`serving.privacy.sealing`)."""

    impl = Text
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context
        """What the value is for, `table.column`: it opens nowhere else."""

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return `value` sealed."""
        return None if value is None else seal(_keyring(home()), value, self.context)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what was sealed.

        Raises:
            SealError: it was changed, or moved here from elsewhere.
        """
        return None if value is None else unseal(_keyring(home()), value, self.context)


@functools.cache
def _keyring(folder: Path) -> Keyring:
    return open_keyring(folder)


@dataclass(slots=True)
class Resealed:
    """What became of the sealed values of the records."""

    changed: int = 0
    left: int = 0
    """Still under an older key, since they do not open: changed, or moved there from elsewhere."""


def reseal_columns(engine: Engine, tables: list[Table], keyring: Keyring) -> Resealed:
    """Seal every value with the active key, some at a time, while others read and write.

    A value that somebody changes at the same time is left as they wrote it.
    """
    done = Resealed()
    for table, column in _text_columns(tables):
        by_itself = f"{table.name}.{column.name}"
        context = column.type.context if isinstance(column.type, SealedText) else by_itself
        _reseal(engine, table, column, context, keyring, done)
    return done


def sealed_under(engine: Engine, tables: list[Table]) -> dict[str, int]:
    """Return how many sealed values each data key has."""
    found: dict[str, int] = {}
    with engine.connect() as connection:
        for _, column in _text_columns(tables):
            query = select(_raw(column)).where(_raw(column).startswith(_MARK, autoescape=True))
            for value in connection.execute(query).scalars():
                found[key_of(value)] = found.get(key_of(value), 0) + 1
    return found


def _text_columns(tables: list[Table]) -> Iterator[tuple[Table, Column[str]]]:
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, SealedText | Text | String):
                yield table, column


def _raw(column: Column[str]) -> Column[str]:
    """The column as the database has it."""
    return type_coerce(column, Text())  # type: ignore[return-value]


def _reseal(
    engine: Engine,
    table: Table,
    column: Column[str],
    context: str,
    keyring: Keyring,
    done: Resealed,
) -> None:
    raw, active = _raw(column), f"{_MARK}{keyring.active_key().key_id}."
    outdated = raw.startswith(_MARK, autoescape=True) & ~raw.startswith(active, autoescape=True)
    primary = list(table.primary_key.columns)
    with engine.connect() as connection:
        rows = connection.execute(select(*primary, raw.label("sealed")).where(outdated)).all()
    for start in range(0, len(rows), _BATCH):
        with writing(engine) as connection:
            for row in rows[start : start + _BATCH]:
                try:
                    plain = unseal(keyring, row.sealed, context)
                except SealError:
                    done.left += 1
                    continue
                same = [key == value for key, value in zip(primary, row, strict=False)]
                # A literal is written as it is, though the column would seal it.
                fresh = literal(seal(keyring, plain, context), Text())
                changed = connection.execute(
                    update(table).where(*same, raw == row.sealed).values({column: fresh})
                )
                done.changed += changed.rowcount
