"""The records database: who may do what, what came in, what was decided.

SQLite in `ZHUZHEN_HOME` by default, PostgreSQL where `ZHUZHEN_DATABASE_URL` names one; the code is
the same. Parts define their tables on `Base` in modules of their own, named in `records.tables`,
and bring a migration for each change.
"""

from serving.records.base import Base, NaiveDatetimeError, UtcDateTime
from serving.records.database import (
    DatabaseError,
    Reader,
    Writer,
    database_url,
    empty_log,
    open_engine,
    writing,
)
from serving.records.migration import upgrade
from serving.records.prepared import Prepared
from serving.records.space import is_out_of_space

__all__ = [
    "Base",
    "DatabaseError",
    "NaiveDatetimeError",
    "Prepared",
    "Reader",
    "UtcDateTime",
    "Writer",
    "database_url",
    "empty_log",
    "is_out_of_space",
    "open_engine",
    "upgrade",
    "writing",
]
