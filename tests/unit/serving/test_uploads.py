import asyncio
from collections.abc import Mapping

import pytest
from starlette.requests import Request
from starlette.types import Message

from serving.problems import Problem
from serving.settings import Settings
from serving.uploads import Upload, receive

SMALL = Settings(max_body_bytes=1000, max_files=3, body_timeout_s=0.2)
FORM = {"content-type": "multipart/form-data; boundary=cut"}


def part(data: bytes, filename: str | None = "a.png", name: str = "file") -> bytes:
    told = f'; filename="{filename}"' if filename is not None else ""
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--cut--\r\n"


async def _receive(
    chunks: list[bytes], headers: Mapping[str, str], ends: bool, settings: Settings
) -> list[Upload]:
    waiting = list(chunks)

    async def messages() -> Message:
        if waiting:
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting) or not ends}
        await asyncio.sleep(60)
        raise AssertionError("the body was waited for longer than it may take")

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(key.encode(), value.encode("latin-1")) for key, value in headers.items()],
    }
    return await receive(Request(scope, messages), settings)


def received(
    *chunks: bytes,
    headers: Mapping[str, str] | None = None,
    ends: bool = True,
    settings: Settings = SMALL,
) -> list[Upload]:
    return asyncio.run(_receive(list(chunks), headers or {}, ends, settings))


def refused(
    *chunks: bytes,
    headers: Mapping[str, str] | None = None,
    ends: bool = True,
    settings: Settings = SMALL,
) -> Problem:
    with pytest.raises(Problem) as caught:
        received(*chunks, headers=headers, ends=ends, settings=settings)
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [None, "application/dicom", "image/png", "IMAGE/JPEG; q=1", "application/octet-stream"],
)
def test_a_body_is_one_image_as_it_is(content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}

    assert received(b"ab", b"cd", headers=headers) == [Upload("body", b"abcd")]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json"},
        {"content-type": "application/vnd.bentoml+pickle"},
        {"content-type": "text/html"},
        {"content-type": ""},
        {"content-encoding": "gzip"},
    ],
    ids=str,
)
def test_other_types_and_encodings_are_refused(headers: dict[str, str]) -> None:
    assert refused(b"abcd", headers=headers).status == 415


def test_an_empty_body_is_refused() -> None:
    assert refused(b"").status == 400


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes() -> None:
    problem = refused(headers={"content-length": "1001"}, ends=False)

    assert problem.status == 413
    assert "1000 bytes" in str(problem)
    assert problem.headers["Connection"] == "close"


@pytest.mark.parametrize("headers", [{}, FORM], ids=["image", "multipart"])
def test_a_body_that_turns_out_too_large_is_refused(headers: dict[str, str]) -> None:
    chunks = [part(b""), b"x" * 600, b"x" * 600]

    assert refused(*chunks, headers=headers, ends=False).status == 413


def test_a_body_at_the_limit_is_taken() -> None:
    assert len(received(b"x" * 1000)[0].data) == 1000


@pytest.mark.parametrize("headers", [{}, FORM], ids=["image", "multipart"])
def test_a_body_that_does_not_come_is_not_waited_for(headers: dict[str, str]) -> None:
    problem = refused(part(b"x"), headers=headers, ends=False)

    assert problem.status == 408
    assert "more than 0.2 s" in str(problem)


@pytest.mark.parametrize("headers", [{}, FORM], ids=["image", "multipart"])
def test_a_body_that_stops_coming_is_waited_for_less_long(headers: dict[str, str]) -> None:
    impatient = Settings(body_timeout_s=30, body_idle_timeout_s=0.1)

    problem = refused(part(b"x"), headers=headers, ends=False, settings=impatient)

    assert problem.status == 408
    assert "for 0.1 s" in str(problem)
    assert problem.headers["Connection"] == "close"


def test_files_of_a_form_keep_names_and_order() -> None:
    body = form(part(b"one", "张三.dcm"), part(b"two", "b.png"), part(b"x", None, "comment"))

    assert received(body[:70], body[70:], headers=FORM) == [
        Upload("张三.dcm", b"one"),
        Upload("b.png", b"two"),
    ]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(form(part(b"x", None)), FORM, id="no file"),
        pytest.param(b"--cut--\r\n", FORM, id="no part"),
        pytest.param(b"", FORM, id="nothing"),
        pytest.param(form(*[part(b"x")] * 4), FORM, id="too many files"),
        pytest.param(b"no multipart at all", FORM, id="not multipart"),
        pytest.param(part(b"x"), {"content-type": "multipart/form-data"}, id="no boundary"),
        pytest.param(b"--cut\r\nContent-Disposition: x\r\n\r\n1\r\n--cut--", FORM, id="no name"),
    ],
)
def test_a_form_that_cannot_be_used_is_refused(body: bytes, headers: dict[str, str]) -> None:
    assert refused(body, headers=headers).status == 400


def test_nothing_of_a_form_comes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    refused(b"ZhangSan", headers=FORM)

    assert caplog.records == []


def test_files_of_patients_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was written")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)

    (upload,) = received(form(part(b"x" * 5_000_000)), headers=FORM, settings=Settings())

    assert len(upload.data) == 5_000_000
