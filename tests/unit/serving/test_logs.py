"""The log says where and what kind, and repeats nothing that came in."""

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from serving.logs import configure_logs

NAME = "张伟^Zhang Wei"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("zhuzhen")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    hook = threading.excepthook
    stream = io.StringIO()
    configure_logs(stream)
    yield stream
    logging.captureWarnings(False)
    threading.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def entries(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_our_lines_are_shown(log: io.StringIO) -> None:
    logging.getLogger("zhuzhen.access").info("%s %s %d", "POST", "/v1/recognize", 200)
    (entry,) = entries(log)
    assert entry["message"] == "POST /v1/recognize 200"
    assert entry["level"] == "INFO"


def test_an_exceptions_message_is_not(log: io.StringIO) -> None:
    try:
        float(NAME)
    except ValueError:
        logging.getLogger("zhuzhen.entrance").exception("it failed")
    (entry,) = entries(log)
    assert entry["error"] == "ValueError"
    assert "test_logs.py" in str(entry["trace"])
    assert "Zhang" not in log.getvalue()


def test_what_libraries_say_is_not(log: io.StringIO) -> None:
    logging.getLogger("pydicom").warning("Invalid value for VR PN: %r", NAME)
    logging.getLogger("asyncio").error(f"Task exception {NAME}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"Invalid value {NAME}", UserWarning, stacklevel=1)
    assert [entry["logger"] for entry in entries(log)] == ["pydicom", "asyncio", "py.warnings"]
    assert "Zhang" not in log.getvalue()


def test_a_thread_that_fails_is_told_without_its_words(log: io.StringIO) -> None:
    thread = threading.Thread(target=lambda: float(NAME))
    thread.start()
    thread.join()
    (entry,) = entries(log)
    assert (entry["message"], entry["error"]) == ("a thread failed", "ValueError")
    assert "Zhang" not in log.getvalue()
