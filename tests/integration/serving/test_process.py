"""How the service starts, and that it ends with nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from serving.attached import ServiceNotStartedError, attached_service

SERVE = "import sys; from serving.launch import serve; serve('127.0.0.1', int(sys.argv[1]))"
ATTACH = """
import sys, time
from serving.attached import attached_service
with attached_service() as service:
    print(service.url, flush=True)
    time.sleep(600)
"""


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    while "answers on" not in line:
        assert line, "the service ended before it answered"
        line = process.stderr.readline()
    return line.split("answers on ")[1].split()[0]


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_success(number: signal.Signals) -> None:
    with started(SERVE, "0") as process:
        url = address_of(process)
        assert answers(url)
        process.send_signal(number)

        assert process.wait(30) == 0
        assert not answers(url)


def test_the_service_is_one_process() -> None:
    with started(SERVE, "0") as process:
        address_of(process)

        assert psutil.Process(process.pid).children() == []


def test_an_attached_service_ends_with_its_context() -> None:
    with attached_service(log=subprocess.DEVNULL) as service:
        assert answers(service.url)

    assert not answers(service.url)


def test_an_attached_service_does_not_outlive_a_killed_program() -> None:
    with started(ATTACH) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert answers(url)
        os.kill(program.pid, signal.SIGKILL)
        program.wait()

        deadline = time.monotonic() + 30
        while answers(url) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not answers(url)


def test_a_service_that_cannot_start_is_told() -> None:
    with (
        pytest.raises(ServiceNotStartedError, match="did not start"),
        attached_service(settings={"ZHUZHEN_MODEL": "none-such"}, log=subprocess.DEVNULL),
    ):
        pytest.fail("there was no service to attach to")
