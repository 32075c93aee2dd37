import socket

import pytest

from models.errors import PackageNotFoundError
from serving.launch import ListenError, serve
from serving.settings import SettingError


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "::1", "example.org", ""])  # noqa: S104
def test_other_hosts_than_this_machine_are_refused(host: str) -> None:
    with pytest.raises(ListenError, match=r"expected 127\.0\.0\.1 or localhost"):
        serve(host, 0)


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
