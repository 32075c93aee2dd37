"""Start the service in this process and stay until it is told to stop."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from models import store
from serving.identity.first_start import first_start
from serving.listening import ListenError, Protection, open_listener
from serving.logs import configure_logs
from serving.names import LOCAL_HOSTS, Names
from serving.settings import Settings
from serving.transfer import LargeBodyProtocol

_BACKLOG = 256
_KEEP_ALIVE_S = 75
"""Seconds that a connection stays open without a request: longer than clients usually keep theirs,
so that they close it and not the service, and no request meets a connection just closed."""
_MOST_HEARD = 4096
"""Bytes of a message on a WebSocket."""
_GRACE_S = 20
"""Seconds that running requests get to finish after the service was told to stop."""


def serve(host: str = "127.0.0.1", port: int = 3000, protection: Protection | None = None) -> None:
    """Serve on `host` and `port` (0 takes a free one) until SIGTERM or SIGINT, then return.

    There is one process, so none can be left behind.

    Raises:
        ListenError: what is sent to `host` would not be protected, or the port cannot be had.
        SettingError: an environment setting has a value that is not known.
        PackageError: the model cannot be loaded.
    """
    serve_until(host, port, announce=_say_where, protection=protection)


def serve_until(
    host: str,
    port: int,
    *,
    announce: Callable[[str], None],
    watch: Callable[[Callable[[], None]], None] | None = None,
    protection: Protection | None = None,
) -> None:
    """Serve as `serve` does, and tell `announce` the address once requests are answered.

    `watch` is handed a function that stops the service, for callers with a reason of their own.
    """
    # Wrong settings and packages are told here, in one sentence; inside the server they would come
    # out as the trace of a failed start.
    store.load(Settings.from_environment().model)
    protection = protection or Protection()
    names = Names.from_environment(os.environ)
    with open_listener(host, port, protection, names) as listener:
        shown = names.others[0] if host not in LOCAL_HOSTS else "127.0.0.1"
        url = f"{protection.scheme}://{shown}:{listener.getsockname()[1]}"
        server = _Server(_config(protection), announce, url)
        if watch is not None:
            watch(server.stop)
        with _signals_only_stop():
            server.run(sockets=[listener])
    if not server.started:
        raise ListenError("The service did not start; its log above says why.")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None], url: str) -> None:
        super().__init__(config)
        self._announce = announce
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce(self._url)

    def stop(self) -> None:
        """Finish the running requests, take no more, and return from `run`."""
        self.should_exit = True


def _config(protection: Protection) -> uvicorn.Config:
    # BentoML reports its use to its makers over the network unless told not to.
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from serving.service import ZhuzhenService

    configure_logs()
    return uvicorn.Config(
        ZhuzhenService.to_asgi(),
        http=LargeBodyProtocol,
        ws="websockets-sansio",
        # On WebSockets only the service speaks, in messages shorter than what deflating holds.
        ws_max_size=_MOST_HEARD,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        **protection.for_uvicorn(),
    )


@contextlib.contextmanager
def _signals_only_stop() -> Iterator[None]:
    """Let SIGTERM and SIGINT, which the server raises anew once it has stopped, do no more."""

    def done(_signal: int, _frame: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, done) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_where(url: str) -> None:
    first = first_start()
    if first is not None:
        sys.stderr.write(first.told())
    sys.stderr.write(f"Zhuzhen answers on {url} (API: {url}/docs). Stop it with Ctrl+C.\n")
    sys.stderr.flush()
