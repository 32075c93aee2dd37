"""Somebody keeps guessing at a named account: its owner logs in all the same."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import httpx
import pytest

from serving.attached import AttachedService, attached_service
from serving.identity import accounts
from serving.identity.known_browsers import KnownBrowsers
from serving.policy import Role
from serving.privacy import open_keyring
from serving.records import database_url, open_engine

BROWSER = "zhuzhen-browser"
OWNER, OTHER = "li.ming", "wang.fang"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttachedService]:
    home = {"ZHUZHEN_HOME": str(tmp_path_factory.mktemp("lockout"))}
    with mock.patch.dict(os.environ, home), attached_service() as found:
        yield found


@pytest.fixture(scope="module")
def passwords(service: AttachedService) -> dict[str, str]:
    engine = open_engine(database_url())
    found = {
        name: accounts.add_account(
            engine,
            name,
            full_name="x",
            roles=[Role.AUDITOR],
            institution=None,
            now=datetime.now(UTC),
        )[1]
        for name in (OWNER, OTHER)
    }
    engine.dispose()
    return found


def test_who_has_logged_in_here_before_is_not_locked_out_by_others(
    service: AttachedService, passwords: dict[str, str]
) -> None:
    def log_in(password: str, name: str = OWNER, cookie: str | None = None) -> httpx.Response:
        with httpx.Client(base_url=service.url, trust_env=False) as browser:
            if cookie is not None:
                browser.cookies.set(BROWSER, cookie)
            return browser.post("/v1/login", json={"name": name, "password": password})

    right = passwords[OWNER]
    first = log_in(right)
    own = first.cookies[BROWSER]
    (written,) = [each for each in first.headers.get_list("set-cookie") if BROWSER in each]
    assert "HttpOnly" in written
    assert "SameSite=strict" in written
    others = log_in(passwords[OTHER], OTHER).cookies[BROWSER]
    assert {log_in(f"guess {number}").status_code for number in range(5)} == {401}

    # Locked, for whoever is not known here: with no cookie, a made-up one, somebody else's.
    account, _, signature = own.split(".")
    made_up = f"{account}.{'0' * 32}.{signature}"
    assert [log_in(right, cookie=each).status_code for each in (None, made_up, others)] == [401] * 3
    again = log_in(right, cookie=own)
    assert again.status_code == 200
    # The strangers' lock goes on.
    assert log_in(right).status_code == 401

    # Guesses with the cookie count by themselves, and it is worth nothing after some.
    assert {log_in(f"guess {number}", cookie=own).status_code for number in range(5)} == {401}
    assert log_in(right, cookie=own).status_code == 401
    assert log_in(right, cookie=again.cookies[BROWSER]).status_code == 200


def test_a_cookie_is_good_for_one_account_and_installation(tmp_path: "os.PathLike[str]") -> None:
    known = KnownBrowsers(open_keyring(tmp_path))  # type: ignore[arg-type]
    account = "0" * 16
    cookie = known.cookie_for(account)
    assert known.browser_with(cookie).is_known_to(account)
    assert not known.browser_with(cookie).is_known_to("1" * 16)
    for odd in (None, "", "x", cookie[:-1], cookie + "=", cookie.replace("0", "1", 1)):
        assert not known.browser_with(odd).is_known_to(account)
