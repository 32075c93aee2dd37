"""docs/http.md says what the service does, all of it."""

import re
from pathlib import Path

import pytest

from serving import settings
from serving.api_description import describe_api
from serving.doors.parts import ROUTES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


PAGES = ("/", "/static_content/{file:path}")


@pytest.mark.parametrize(
    "named", [f"{route.method} {route.path}" for route in ROUTES if route.path not in PAGES]
)
def test_every_route_is_described(named: str) -> None:
    assert f"`{named}`" in PAGE


def test_every_setting_is_described() -> None:
    read = set(re.findall(r"ZHUZHEN_[A-Z_]+", Path(settings.__file__).read_text(encoding="utf-8")))

    assert read
    assert read <= set(re.findall(r"^\| `(ZHUZHEN_[A-Z_]+)`", PAGE, flags=re.MULTILINE))


def test_every_status_is_described() -> None:
    described = set(describe_api()["paths"]["/v1/recognize"]["post"]["responses"]) - {"200"}

    assert described <= set(re.findall(r"^\| (\d{3}) \|", PAGE, flags=re.MULTILINE))
