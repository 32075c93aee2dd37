"""One of several processes that open an installation at once: `python -m tests.migrating`.

It tells that it is ready, waits for a line, opens everything, and prints which migrations it was
that carried out.
"""

import json
import sys
from contextlib import ExitStack

from serving.access import open_guard
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.opening import audit_url
from serving.audit.tables import MIGRATIONS
from serving.records import database_url, open_engine, upgrade
from serving.records.migration import RECORDS

_EVENT = AuditEvent(
    category=Category.APPLICATION_ACTIVITY,
    action=Action.EXECUTE,
    outcome=Outcome.ALLOWED,
    operation="test",
    actor="service",
    role="system",
    purpose=Purpose.OPERATIONS,
)


def main() -> None:
    """Open an installation when told."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with ExitStack() as stack:
        records, audit = open_engine(database_url()), open_engine(audit_url())
        stack.callback(records.dispose)
        stack.callback(audit.dispose)
        migrated = {
            "records": upgrade(records, RECORDS),
            "audit": upgrade(audit, MIGRATIONS),
        }
        guard = stack.enter_context(open_guard())
        guard.recorder.record(_EVENT).wait()
    sys.stdout.write(json.dumps(migrated) + "\n")


if __name__ == "__main__":
    main()
