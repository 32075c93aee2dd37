"""What every table has in common."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, MetaData, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from models.errors import ZhuzhenError


class NaiveDatetimeError(ZhuzhenError, ValueError):
    """A moment without a time zone was to be stored; whose clock showed it nobody could tell."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: stored in UTC, given back with its zone, refused without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC.

        Raises:
            NaiveDatetimeError: it has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise NaiveDatetimeError(
                "A date and time without a zone was to be stored; expected one with a zone, such "
                "as UTC."
            )
        moment = value.astimezone(UTC)
        # SQLite keeps what it is given as text, and has no zone to keep with it.
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` with its zone, UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Base of all records; constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: dict[Any, Any] = {datetime: UtcDateTime}  # noqa: RUF012  (SQLAlchemy's way)
