"""JSON answers over slow lines."""

import gzip
import json

import pytest
from starlette.requests import Request

from serving.json_answer import json_answer

LONG = {"说明": ["仅供专业人员辅助决策；未经医疗器械注册审批。"] * 200}


def asked(accepted: str | None) -> Request:
    headers = [] if accepted is None else [(b"accept-encoding", accepted.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5, *;q=0", "deflate,gzip , br"])
def test_who_asks_for_it_gets_it_compressed(accepted: str) -> None:
    response = json_answer(asked(accepted), LONG)

    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-length"] == str(len(response.body))
    assert len(response.body) < 500
    assert json.loads(gzip.decompress(bytes(response.body))) == LONG


@pytest.mark.parametrize("accepted", [None, "", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"])
def test_who_does_not_gets_it_as_it_is(accepted: str | None) -> None:
    response = json_answer(asked(accepted), LONG)

    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"
    assert json.loads(bytes(response.body)) == LONG


def test_what_is_short_is_not_compressed() -> None:
    assert "content-encoding" not in json_answer(asked("gzip"), {"a": 1}).headers
