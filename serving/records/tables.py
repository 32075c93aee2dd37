"""Every module that defines records: migrations and tests must know all of them."""

from serving.archive import tables as _archive
from serving.cds_hooks import records as _cds_hooks
from serving.fetching import tables as _fetching
from serving.identity import account_records as _accounts
from serving.identity import records as _identity
from serving.identity import used_tokens as _used_tokens
from serving.jobs import tables as _jobs
from serving.privacy import records as _privacy
from serving.records.base import Base
from serving.relations import records as _relations
from serving.worklist import tables as _worklist

MODULES = (
    _identity,
    _archive,
    _jobs,
    _accounts,
    _relations,
    _privacy,
    _worklist,
    _cds_hooks,
    _used_tokens,
    _fetching,
)
METADATA = Base.metadata
