"""Telling the log of a fault of this program without what it was working on."""

import traceback


def place_of(error: BaseException) -> str:
    """Say what `error` is and where it came from, without its message, which may name a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {last.name} ({last.filename}:{last.lineno})"
