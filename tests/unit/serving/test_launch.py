import socket
from pathlib import Path

import pytest

from models.errors import PackageNotFoundError
from serving.launch import serve
from serving.listening import ListenError, Protection
from serving.settings import SettingError


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "::1"])  # noqa: S104
def test_other_machines_are_not_served_unprotected(host: str) -> None:
    with pytest.raises(ListenError, match="others could read"):
        serve(host, 0)


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:80", "*"])
def test_what_is_no_address_is_told(host: str) -> None:
    with pytest.raises(ListenError, match="expected an IP address"):
        serve(host, 0, Protection(proxy="127.0.0.1"))


def test_other_machines_are_served_under_a_name() -> None:
    with pytest.raises(ListenError, match="--name"):
        serve("0.0.0.0", 0, Protection(proxy="10.0.0.1"))  # noqa: S104


def test_half_a_certificate_is_told(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="needs both"):
        Protection(certificate=tmp_path / "cert.pem")
    with pytest.raises(ListenError, match="cannot be used"):
        Protection(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    with pytest.raises(ListenError, match="reverse proxy"):
        Protection(proxy="everybody")


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"Port {port} is taken by another program"):
            serve("127.0.0.1", port)


def test_a_port_that_does_not_exist_is_told() -> None:
    with pytest.raises(ListenError, match="Port 70000 cannot be had"):
        serve("127.0.0.1", 70000)


def test_a_model_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_MODEL", "none-such")

    with pytest.raises(PackageNotFoundError, match="none-such"):
        serve("127.0.0.1", 0)


def test_a_setting_that_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHUZHEN_THREADS", "all")

    with pytest.raises(SettingError, match="ZHUZHEN_THREADS"):
        serve("127.0.0.1", 0)
