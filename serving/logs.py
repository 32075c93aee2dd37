"""The service's log: one JSON object a line, nothing of a patient.

What this project logs is written by it: routes, statuses, identifiers of its own. What libraries
log may repeat what a sender wrote (pydicom quotes values that it finds wrong), and so may the
messages of exceptions; of these the log has the place in the code and the kind alone.
"""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

_OURS = "zhuzhen"
_PLAIN = ("uvicorn.error",)
"""Loggers of others whose messages hold nothing of a request: starting, stopping, signals."""
_FIELDS = ("reason", "request_id")
"""Machine names that messages of ours may carry beside their text (`extra`)."""
_WITHHELD = "not shown: it may repeat what a sender wrote"


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`."""
        ours = record.name.partition(".")[0] == _OURS or record.name in _PLAIN
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage() if ours else _WITHHELD,
        }
        if ours:
            entry.update({name: vars(record)[name] for name in _FIELDS if name in vars(record)})
        else:
            entry["place"] = f"{record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            entry["error"] = record.exc_info[0].__name__
            entry["trace"] = trace_of(record.exc_info[2])
        return json.dumps(entry, ensure_ascii=False)


def trace_of(trace: TracebackType | None) -> list[str]:
    """Return where an exception came from, outermost first: file, line and function, no values."""
    frames = traceback.extract_tb(trace)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def configure_logs(stream: TextIO | None = None) -> None:
    """Send all logs, warnings and failures of threads to standard error in this form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    # What libraries tell below a warning is of no use here.
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_failure


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and failure.exc_type is not SystemExit:
        logging.getLogger(f"{_OURS}.threads").error(
            "a thread failed",
            exc_info=(failure.exc_type, failure.exc_value, failure.exc_traceback),
        )
