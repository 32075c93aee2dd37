"""One running service for all tests of its doors."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.attached import attached_service


@pytest.fixture(scope="session")
def service_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service writes its log."""
    return tmp_path_factory.mktemp("service") / "log"


@pytest.fixture(scope="session")
def service_url(service_log: Path) -> Iterator[str]:
    """The address of a service that listens as long as the session lasts."""
    with service_log.open("wb") as log, attached_service(log=log.fileno()) as url:
        yield url


@pytest.fixture(scope="session")
def client(service_url: str) -> Iterator[httpx.Client]:
    # No proxy of the environment: the service is on this machine.
    with httpx.Client(base_url=service_url, timeout=60, trust_env=False) as found:
        yield found
