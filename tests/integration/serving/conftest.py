"""One running service for all tests of its doors."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.attached import AttachedService, attached_service


@pytest.fixture(scope="session")
def service_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service writes its log."""
    return tmp_path_factory.mktemp("service") / "log"


@pytest.fixture(scope="session")
def service(service_log: Path) -> Iterator[AttachedService]:
    """A service that listens as long as the session lasts."""
    with service_log.open("wb") as log, attached_service(log=log.fileno()) as found:
        yield found


@pytest.fixture(scope="session")
def service_url(service: AttachedService) -> str:
    """The address of the service."""
    return service.url


@pytest.fixture(scope="session")
def client(service: AttachedService) -> Iterator[httpx.Client]:
    """A client with a key."""
    # No proxy of the environment: the service is on this machine.
    with httpx.Client(
        base_url=service.url, headers=service.headers, timeout=60, trust_env=False
    ) as found:
        yield found
