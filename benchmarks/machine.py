"""The machine and the versions that figures were measured with."""

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from models.findings import ModelReference
from serving.settings import usable_cores

_LIBRARIES = (
    "bentoml",
    "fastapi",
    "litserve",
    "monai",
    "numpy",
    "onnxruntime",
    "pillow",
    "pydicom",
    "pylibjpeg-openjpeg",
    "scikit-image",
    "starlette",
    "torch",
    "uvicorn",
)
_VECTOR_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8")
"""Instruction sets, by their names in Linux's /proc/cpuinfo, that networks gain from."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what figures were measured."""

    date: str
    processor: str
    cores: int
    """Processor cores that the process may use."""
    vector_instructions: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    libraries: dict[str, str]
    model: str
    """Name, version and the beginning of the digest of the package that was run."""
    load_at_start: float
    """Processes that wanted to run in the minute before: above 0.5, others disturbed the run."""


def describe_machine(model: ModelReference) -> Machine:
    """Describe this machine, and `model`, which is run on it."""
    processor, flags = _processor()
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        processor=processor,
        cores=usable_cores(),
        vector_instructions=tuple(flag for flag in _VECTOR_FLAGS if flag in flags),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=".".join(map(str, sys.version_info[:3])),
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        model=f"{model.name} {model.version} ({model.digest[:19]}...)",
        load_at_start=round(os.getloadavg()[0], 2),
    )


def _processor() -> tuple[str, frozenset[str]]:
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor() or "unknown", frozenset()
    facts: dict[str, str] = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    return facts.get("model name", "unknown"), frozenset(facts.get("flags", "").split())
