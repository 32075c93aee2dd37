"""The service behind a reverse proxy, which says who sent a request and how it came."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.audit import AuditEvent
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events

NAME = "zz.hospital.example"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Hands requests on as a reverse proxy does."""

    client: httpx.Client

    def login(self, forwarded_for: str, name: str = "admin") -> int:
        return self.client.post(
            "/v1/login",
            json={"name": name, "password": "x"},
            headers={"X-Forwarded-For": forwarded_for},
        ).status_code


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ZHUZHEN_HOME", str(tmp_path_factory.mktemp("proxy")))
        command = [str(Path(sys.executable).with_name("zhuzhen")), "serve", "--port", "0", "--json"]
        command += ["--behind-proxy", "127.0.0.1", "--name", NAME]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
            try:
                assert process.stdout is not None
                url = json.loads(process.stdout.readline())["url"]
                headers = {"X-Forwarded-Proto": "https", "Host": NAME}
                with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
                    yield Proxy(client)
            finally:
                process.terminate()


def logins() -> list[AuditEvent]:
    with audit_engine() as engine, engine.connect() as connection:
        found = find_events(connection, Criteria())
        return [event for event in found if event.operation == "POST:/v1/login"]


def test_it_is_the_proxy_who_says_where_a_request_came_from(proxy: Proxy) -> None:
    """It writes the address that it saw after those that a sender may have made up."""
    assert proxy.login("198.51.100.7, 203.0.113.9") == 401
    assert logins()[-1].source_address == "203.0.113.9"


@pytest.mark.parametrize("said", ["unknown", "1.2.3.4.5", "[::1", "_hidden, x", "a" * 300])
def test_a_guess_from_no_address_is_on_record(proxy: Proxy, said: str) -> None:
    before = len(logins())

    assert proxy.login(said) == 401

    (last,) = logins()[before:]
    assert (last.outcome.value, last.source_address) == ("denied", None)


def test_a_network_of_ipv6_guesses_as_one(proxy: Proxy) -> None:
    """One machine has all 2^64 addresses of its network, and would never be slowed down."""

    def guess(address: str) -> int:
        headers = {"X-Forwarded-For": address, "Content-Type": "application/json"}
        return proxy.client.post("/v1/login", content=b"{", headers=headers).status_code

    assert {guess(f"2001:db8:1:2::{number:x}") for number in range(30)} == {400, 429}
    assert guess("2001:db8:1:3::1") == 400


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (NAME, f"https://{NAME}", 401),
        (NAME, f"https://{NAME}:443", 401),
        (f"{NAME}:8443", f"https://{NAME}:8443", 401),
        # Another program behind the same name, and on the same machine.
        (NAME, f"https://{NAME}:8443", 403),
        (f"{NAME}:8443", f"https://{NAME}", 403),
        (NAME, f"http://{NAME}", 403),
        ("localhost:3000", "https://localhost:8080", 403),
        ("localhost:3000", "https://localhost:3000", 401),
        ("localhost:3000", "http://localhost:3000", 403),
    ],
)
def test_a_page_is_the_services_own_by_scheme_host_and_port(
    proxy: Proxy, host: str, origin: str, status: int
) -> None:
    sent = {"X-Forwarded-For": "203.0.113.9", "Host": host, "Origin": origin}
    assert proxy.client.post("/v1/logout", headers=sent).status_code == status


def test_without_tls_to_the_proxy_nothing_is_answered(proxy: Proxy) -> None:
    sent = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    assert proxy.client.get("/v1/session", headers=sent).status_code == 403
