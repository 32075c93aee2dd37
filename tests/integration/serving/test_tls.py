"""The service over TLS: a certificate from the settings, real handshakes, nothing without."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from serving.check import Check, State
from serving.doctor import examine
from tests.certificates import NAME, make_certificate


@dataclass(frozen=True, slots=True)
class Served:
    """A service that speaks TLS."""

    url: str
    certificate: Path

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.port is not None
        return "127.0.0.1", parts.port

    def context(self) -> ssl.SSLContext:
        """What a client trusts: this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    settings = {
        **os.environ,
        "ZHUZHEN_HOME": str(folder / "home"),
        "ZHUZHEN_TLS_CERTIFICATE": str(certificate),
        "ZHUZHEN_TLS_KEY": str(key),
        "ZHUZHEN_HOSTS": NAME,
    }
    command = [str(Path(sys.executable).with_name("zhuzhen")), "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=settings) as process:
        try:
            assert process.stdout is not None
            yield Served(json.loads(process.stdout.readline())["url"], certificate)
        finally:
            process.terminate()


def test_a_client_that_trusts_the_certificate_is_answered(served: Served) -> None:
    assert served.url.startswith("https://")
    with httpx.Client(verify=served.context(), trust_env=False) as client:
        url = f"https://127.0.0.1:{served.address[1]}/livez"
        assert client.get(url).status_code == 200
        assert client.get(url, headers={"Host": NAME}).status_code == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_are_spoken(served: Served, version: ssl.TLSVersion) -> None:
    context = served.context()
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(served.address, timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        assert secure.version() == version.name.replace("_", ".")


def test_older_versions_are_refused(served: Served) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Weak enough that it is the server who refuses.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(served.address, timeout=30) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(plain, server_hostname=NAME)


def test_a_client_that_does_not_trust_it_leaves(served: Served) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(f"https://127.0.0.1:{served.address[1]}/livez")


def test_plain_http_gets_no_answer(served: Served) -> None:
    with socket.create_connection(served.address, timeout=30) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        with contextlib.suppress(ConnectionResetError):
            said = connection.recv(100)
    assert not said.startswith(b"HTTP")


def checked(environment: dict[str, str], folder: Path) -> list[Check]:
    return [check for check in examine(folder, environment) if check.name == "tls"]


def test_doctor_tells_of_a_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    named = {"ZHUZHEN_TLS_CERTIFICATE": str(certificate), "ZHUZHEN_TLS_KEY": str(key)}
    (good,) = checked({**named, "ZHUZHEN_HOSTS": NAME}, tmp_path)
    assert good.state is State.OK
    (other,) = checked({**named, "ZHUZHEN_HOSTS": "other.example"}, tmp_path)
    assert other.state is State.ERROR
    assert "other.example" in other.message.en
    (half,) = checked({"ZHUZHEN_TLS_KEY": str(key)}, tmp_path)
    assert (half.state, "needs both" in half.message.en) == (State.ERROR, True)
    key.chmod(0o644)
    (loose,) = checked(named, tmp_path)
    assert (loose.state, "chmod 600" in loose.message.en) == (State.ERROR, True)


@pytest.mark.parametrize(("days", "state"), [(-1, State.ERROR), (10, State.WARNING)])
def test_doctor_tells_of_a_certificate_that_ends(tmp_path: Path, days: int, state: State) -> None:
    certificate, key = make_certificate(tmp_path, days)
    named = {"ZHUZHEN_TLS_CERTIFICATE": str(certificate), "ZHUZHEN_TLS_KEY": str(key)}
    (found,) = checked(named, tmp_path)
    assert found.state is state
