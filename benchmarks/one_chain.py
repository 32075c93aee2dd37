"""What one chain for all writers would cost: a lock from a transaction's first event to its end.

Whoever adds to a chain must know its last event, so that nobody else adds to it meanwhile.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from sqlalchemy import Engine, text

_LOCK = 90
_HELD_S = 0.02
_TAKE = """
CREATE FUNCTION take_chain() RETURNS trigger AS
$$BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN NULL; END$$ LANGUAGE plpgsql;
CREATE TRIGGER one_chain BEFORE INSERT ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION take_chain();
"""


def make_one_chain(engine: Engine) -> None:
    """Have everybody who adds events to this PostgreSQL database wait for who did before.

    The lock is taken with the first event of a transaction, and not before its hash is made, as it
    would have to be: what is measured beside lanes is rather too quick.
    """
    with engine.begin() as connection:
        connection.execute(text(_TAKE.format(lock=_LOCK)))


@contextlib.contextmanager
def distant_writer(engine: Engine, *, one_chain: bool) -> Iterator[None]:
    """Have another writer hold what it writes to for 20 ms at a time, half of the time.

    That is what two round trips of 10 ms take, from its events to its commit: of a service at the
    end of a slow line. In `one_chain` it holds everybody's, else its own lane.
    """
    is_over = threading.Event()
    take = text("SELECT pg_advisory_xact_lock(:lock)")
    lock = _LOCK if one_chain else _LOCK + 1

    def write() -> None:
        while not is_over.wait(_HELD_S):
            with engine.begin() as connection:
                connection.execute(take, {"lock": lock})
                time.sleep(_HELD_S)

    thread = threading.Thread(target=write, name="distant", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
