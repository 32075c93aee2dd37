"""What an operator may set about the service."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from models.errors import ZhuzhenError
from serving.imaging import DEFAULT_LIMITS
from serving.precision import Precision

REQUESTS_PER_MINUTE = 12_000


class SettingError(ZhuzhenError, ValueError):
    """A setting has a value that the service does not know."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the running service."""

    model: str = "chest-xray-pneumonia"
    """Model that answers where a request names none: `name` or `name@version`. `ZHUZHEN_MODEL`."""
    tile_model: str = "breast-idc"
    """The same for tiles of stained slides. `ZHUZHEN_TILE_MODEL`."""
    precision: Precision = Precision.FP32
    """Which graph of a package is run. `ZHUZHEN_PRECISION`: `fp32` or `int8`."""
    threads: int = 1
    """Radiographs read at the same time. `ZHUZHEN_THREADS`; by default the processor cores that
    this process may use."""
    max_body_bytes: int = DEFAULT_LIMITS.max_bytes
    """Bytes of one request's body, all its files together."""
    max_files: int = 64
    """Files of one multipart request."""
    max_open_bodies: int = 8
    """Requests whose bodies are held in memory at the same time, but two for each thread at least;
    others wait to be received."""
    body_timeout_s: float = 300.0
    """Seconds within which a body must have arrived."""
    requests_per_minute: int = REQUESTS_PER_MINUTE
    """Requests of one credential in a minute, at once or spread. `ZHUZHEN_REQUESTS_PER_MINUTE`."""
    audit_sync_within_ms: int = 100
    """Milliseconds within which what an institution read of its own is on disk in the audit record;
    with 0 every answer waits for that. `ZHUZHEN_AUDIT_SYNC_WITHIN_MS`."""
    body_idle_timeout_s: float = 15.0
    """Seconds within which the next piece of a body must have arrived."""
    slow_body_patience_s: float = 60.0
    """Seconds in which 100 bytes for each must come of a body of instances, or of a work item,
    which may take as long as it likes. `ZHUZHEN_SLOW_BODY_PATIENCE_S`."""
    observe: bool = True
    """Whether measurements of each reading are kept for monitoring, and a challenger reads along.
    `ZHUZHEN_OBSERVE`: `on` or `off`."""
    follow_every_s: float = 2.0
    """How often the service looks whether a model's alias means another version now."""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise SettingError(f"ZHUZHEN_THREADS is {self.threads}; expected 1 or more.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Raises:
            SettingError: naming the setting, what it is and what was expected.
        """
        precision = environment.get("ZHUZHEN_PRECISION", Precision.FP32.value)
        if precision not in tuple(Precision):
            raise SettingError(
                f"ZHUZHEN_PRECISION is {precision!r}; expected {' or '.join(Precision)}."
            )
        observe = environment.get("ZHUZHEN_OBSERVE", "on")
        if observe not in ("on", "off"):
            raise SettingError(f"ZHUZHEN_OBSERVE is {observe!r}; expected on or off.")
        number = partial(_whole_number, environment)
        return cls(
            observe=observe == "on",
            model=environment.get("ZHUZHEN_MODEL", cls().model),
            tile_model=environment.get("ZHUZHEN_TILE_MODEL", cls().tile_model),
            precision=Precision(precision),
            threads=number("ZHUZHEN_THREADS", usable_cores(), 1, 4096),
            requests_per_minute=number(
                "ZHUZHEN_REQUESTS_PER_MINUTE", REQUESTS_PER_MINUTE, 1, 10**9
            ),
            slow_body_patience_s=number("ZHUZHEN_SLOW_BODY_PATIENCE_S", 60, 1, 300),
            audit_sync_within_ms=number("ZHUZHEN_AUDIT_SYNC_WITHIN_MS", 100, 0, 1000),
        )


def _whole_number(
    environment: Mapping[str, str], name: str, default: int, least: int, most: int
) -> int:
    found = environment.get(name, str(default))
    if not found.isdecimal() or not least <= int(found) <= most:
        raise SettingError(f"{name} is {found!r}; expected a whole number from {least} to {most}.")
    return int(found)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
