"""A service of one's own, that lives no longer than the program that started it.

For the demonstration, tests and measurements: `attached_service()` starts a second process, which
ends when its standard input does. The system closes that with the starting program, however that
ends, so that no service is left behind.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from models import store
from models.errors import ZhuzhenError
from serving.identity.local import passing_key
from serving.launch import serve_until
from serving.policy import Role

_START_S = 150
_STOP_S = 30


class ServiceNotStartedError(ZhuzhenError):
    """The attached service ended before it answered."""


@dataclass(frozen=True, slots=True)
class AttachedService:
    """A running service and a key to it."""

    url: str
    key: str
    """Of a program of the local institution, valid as long as the context lasts."""

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to be let in."""
        return {"Authorization": f"Bearer {self.key}"}


@contextlib.contextmanager
def attached_service(
    port: int = 0, settings: Mapping[str, str] | None = None, *, log: int | None = None
) -> Iterator[AttachedService]:
    """Start the service on `port` (0 takes a free one) and give it once it is ready.

    `settings` are environment settings on top of this process's own. Its log goes to this
    process's standard error or, where given, to the file descriptor `log`.

    Raises:
        ServiceNotStartedError: it did not become ready; its log says why.
    """
    environment = {
        **os.environ,
        "ZHUZHEN_HOME": str(store.home().resolve()),
        **(settings or {}),
    }
    with (
        passing_key(Role.SYSTEM, label="attached program") as key,
        subprocess.Popen(
            [sys.executable, "-m", "serving.attached", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        ) as process,
    ):
        try:
            yield AttachedService(_address(process), key)
        finally:
            _stop(process)


def _address(process: subprocess.Popen[str]) -> str:
    """Return the address that `process` tells when it is ready."""
    assert process.stdout is not None  # noqa: S101 - it was asked for above
    too_late = threading.Timer(_START_S, process.kill)
    too_late.start()
    line = process.stdout.readline().strip()
    too_late.cancel()
    if not line:
        raise ServiceNotStartedError(
            f"The service did not start within {_START_S} seconds, or ended; see what it wrote to "
            "its log."
        )
    return line


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for above
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> None:
    """Serve until standard input ends."""

    def announce(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    def watch(stop: Callable[[], None]) -> None:
        def wait() -> None:
            sys.stdin.buffer.read()
            stop()

        threading.Thread(target=wait, daemon=True).start()

    try:
        serve_until("127.0.0.1", int(sys.argv[1]), announce=announce, watch=watch)
    except ZhuzhenError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
