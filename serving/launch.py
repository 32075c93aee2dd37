"""Start the service in this process and stay until it is told to stop."""

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from models import store
from models.errors import ZhuzhenError
from serving.identity.local import first_key
from serving.settings import Settings
from serving.transfer import LargeBodyProtocol

LOCAL_HOSTS = ("127.0.0.1", "localhost")
_BACKLOG = 256
_KEEP_ALIVE_S = 75
"""Seconds that a connection stays open without a request: longer than clients usually keep theirs,
so that they close it and not the service, and no request meets a connection just closed."""
_GRACE_S = 20
"""Seconds that running requests get to finish after the service was told to stop."""


class ListenError(ZhuzhenError):
    """The service cannot listen where it was told to."""


def serve(host: str = "127.0.0.1", port: int = 3000) -> None:
    """Serve on `host` and `port` (0 takes a free one) until SIGTERM or SIGINT, then return.

    There is one process, so none can be left behind.

    Raises:
        ListenError: the host is not this machine alone, or the port cannot be had.
        SettingError: an environment setting has a value that is not known.
        PackageError: the model cannot be loaded.
    """
    serve_until(host, port, announce=_say_where)


def serve_until(
    host: str,
    port: int,
    *,
    announce: Callable[[str], None],
    watch: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Serve as `serve` does, and tell `announce` the address once requests are answered.

    `watch` is handed a function that stops the service, for callers with a reason of their own.
    """
    # Wrong settings and packages are told here, in one sentence; inside the server they would come
    # out as the trace of a failed start.
    store.load(Settings.from_environment().model)
    with _listener(host, port) as listener:
        server = _Server(_config(), announce, f"http://127.0.0.1:{listener.getsockname()[1]}")
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


def _config() -> uvicorn.Config:
    # BentoML reports its use to its makers over the network unless told not to.
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from serving.service import ZhuzhenService

    # What libraries tell below a warning is of no use here, and may hold what a sender wrote.
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("zhuzhen").setLevel(logging.INFO)
    return uvicorn.Config(
        ZhuzhenService.to_asgi(),
        http=LargeBodyProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket bound to `port` that does not listen yet."""
    if host not in LOCAL_HOSTS:
        raise ListenError(
            f"The service was told to listen on {host}; expected {' or '.join(LOCAL_HOSTS)}. It "
            "does not know yet who is asking, so it answers on this machine alone."
        )
    # Named, because asyncio sends an answer's parts without delay only on sockets that say TCP;
    # otherwise each waits 40 ms for the client's acknowledgement of the one before.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be had ({error})"
        raise ListenError(
            f"Port {port} {reason}; expected a free port from 1 to 65535. Choose another one with "
            "--port, or 0 for any."
        ) from error
    return listener


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
    key = first_key()
    if key is not None:
        sys.stderr.write(
            "First start. This key is shown once; a program of the institution 'local' sends it as "
            f"`Authorization: Bearer KEY`:\n  {key}\n"
            f"首次启动。以下密钥仅显示一次，供“local”机构的程序在请求头中使用：\n  {key}\n"
        )
    sys.stderr.write(f"Zhuzhen answers on {url} (API: {url}/docs). Stop it with Ctrl+C.\n")
    sys.stderr.flush()
