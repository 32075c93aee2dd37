"""Every module that defines records: migrations and tests must know all of them."""

from serving.identity import records as _identity
from serving.records.base import Base

MODULES = (_identity,)
METADATA = Base.metadata
