"""The service without its guard, to be measured beside it: nobody is asked, nothing is recorded.

For measurements alone; it listens on this machine, on an installation of its own.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from starlette.types import Scope

from serving import access
from serving.launch import serve_until
from serving.policy import Action, Actor, ActorKind, Decision, Role, Target, decide

_ANYBODY = Actor("anybody", ActorKind.PROGRAM, frozenset({Role.SYSTEM}), "local")
_ALLOWED = decide(_ANYBODY, Action.DISCOVER, Target("page"))


class _Unasked(access.Access):
    def admit(self) -> None:
        """Let everybody in."""

    def require(
        self, target: Target, *, action: Action | None = None, reason: str | None = None
    ) -> Decision:
        """Allow everything."""
        return _ALLOWED


class _NoGuard(access.Guard):
    async def identify(self, scope: Scope, operation: str, action: Action) -> access.Access:
        """Take everybody for the same program."""
        found = _Unasked(self, _ANYBODY, operation, action)
        scope.setdefault("state", {})["access"] = found
        return found


@contextmanager
def _open() -> Iterator[access.Guard]:
    with access.open_guard() as guard:
        yield _NoGuard(guard.engine, guard.recorder, guard.credentials, guard.keyring)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    unguarded = partial(access.POST.manned, _open)
    setattr(access.POST, "manned", unguarded)  # noqa: B010 - methods are not assigned to otherwise
    with tempfile.TemporaryDirectory() as folder:
        # Beside an installation that runs at the same time, and not in it.
        os.environ["ZHUZHEN_HOME"] = folder
        os.environ.pop("ZHUZHEN_DATABASE_URL", None)
        serve_until("127.0.0.1", port, announce=lambda url: None)


if __name__ == "__main__":
    main()
