"""Independent tools that say whether a DICOM object is valid, as Debian brings them."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

_JARS = Path("/usr/share/java")
_PIXELMED = ("pixelmed", "commons-codec", "slf4j-api", "javax.json", "vecmath")
_JAVA_OPTIONS = (
    # PixelMed's style sheets are longer than Java's limits for XPath allow.
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip, saying so, where the command `tool` is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


needs_pixelmed = pytest.mark.skipif(
    shutil.which("java") is None or not (_JARS / "pixelmed.jar").exists(),
    reason="libpixelmed-java is not installed",
)


def _lines(*command: object) -> list[str]:
    run = subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, timeout=120
    )
    return (run.stdout + run.stderr).decode("utf-8", "replace").splitlines()


def iod_errors(path: Path) -> list[str]:
    """What dciodvfy holds against one object, warnings left out."""
    lines = _lines("dciodvfy", "-new", path)
    assert lines, "dciodvfy said nothing, not even the IOD"
    return [line for line in lines if line.startswith("Error")]


def entity_errors(paths: Iterable[Path]) -> list[str]:
    """Where objects of one study contradict each other, by dcentvfy; warnings left out."""
    return [line for line in _lines("dcentvfy", *paths) if line.startswith("Error")]


def template_errors(path: Path) -> list[str]:
    """What PixelMed holds against a report's template, content not in it left out (extensible)."""
    jars = ":".join(str(_JARS / f"{name}.jar") for name in _PIXELMED)
    validator = "com.pixelmed.validate.DicomSRValidator"
    lines = _lines("java", *_JAVA_OPTIONS, "-cp", jars, validator, path)
    assert any("Found Root Template TID_1500" in line for line in lines), "\n".join(lines)
    return [line for line in lines if line.startswith("Error")]


def report_text(path: Path) -> str:
    """A report's tree as dsrdump prints it, values in full."""
    return "\n".join(_lines("dsrdump", "+U8", "+Pl", path))
