"""A JSON object as the body of a request: received within bounds, held against its schema."""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match
from starlette.requests import Request

from serving.problems import Problem

MEDIA_TYPE = "application/json"
MOST_BYTES = 64 * 1024
_PATIENCE_S = 15.0


def _matches(
    _: object, pattern: str, found: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Hold a text against a pattern, whose `$` is the end as in JSON Schema (ECMA-262): Python's
    lets a newline follow.
    """
    if isinstance(found, str) and (not re.search(pattern, found) or found.endswith("\n")):
        yield ValidationError("not as the pattern says")


_Validator = validators.extend(  # type: ignore[no-untyped-call]  # as its types have it
    Draft202012Validator, {"pattern": _matches}
)


class JsonBody:
    """What an operation takes, by its JSON schema."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        most_bytes: int = MOST_BYTES,
        media_types: tuple[str, ...] = (MEDIA_TYPE,),
    ) -> None:
        self.schema = schema
        self._most_bytes = most_bytes
        self._media_types = media_types
        self._validator = _Validator(dict(schema))

    def described(self) -> dict[str, Any]:
        """Return the Request Body Object of OpenAPI 3.1."""
        return {"required": True, "content": {self._media_types[0]: {"schema": dict(self.schema)}}}

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the object in the body of `request`.

        Raises:
            Problem: 400, 408, 413 or 415; a value of the body is never repeated.
        """
        essence = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if essence not in self._media_types:
            accepted = ", ".join(self._media_types)
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"The Content-Type is not {accepted}; send a JSON object.",
                {"Accept": accepted},
            )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                content = await self._receive(request)
        except TimeoutError:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The body did not arrive within {_PATIENCE_S:g} s; send it again.",
                {"Connection": "close"},
            ) from None
        return self._checked(content)

    async def _receive(self, request: Request) -> bytes:
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > self._most_bytes:
                raise Problem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"The body has more than {self._most_bytes} bytes, the most that is accepted "
                    "here.",
                    {"Connection": "close"},
                )
        return bytes(content)

    def _checked(self, content: bytes) -> dict[str, Any]:
        try:
            found = read_json(content)
        except (ValueError, RecursionError):
            raise Problem(
                HTTPStatus.BAD_REQUEST, "The body is not valid JSON in UTF-8; expected an object."
            ) from None
        error = best_match(self._validator.iter_errors(found))
        if error is not None:
            raise Problem(HTTPStatus.BAD_REQUEST, _told(error))
        checked: dict[str, Any] = found
        return checked


def read_json(content: bytes | bytearray) -> Any:
    """Return what `content` says: JSON as RFC 8259 has it, with texts that can be kept and sent on.

    Raises:
        ValueError: it is no JSON in UTF-8; a name stands twice in an object; a text holds half a
            surrogate pair, which is no character, or U+0000, which PostgreSQL takes in no text.
        RecursionError: it is nested too deep.
    """
    text = content.decode("utf-8-sig")
    found = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)
    if _ZERO.search(text):
        raise ValueError("a text holds U+0000")
    if _SURROGATE.search(text):
        # Of a pair, one character was made; a half cannot be encoded.
        json.dumps(found, ensure_ascii=False).encode()
    return found


_ZERO = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice in an object would be read by one program so, by another so."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _told(error: ValidationError) -> str:
    """Say what is wrong without what was sent: it could name a patient or be a password."""
    place = "/".join(str(part) for part in error.absolute_path if part in _known(error)) or "body"
    expected = json.dumps(error.validator_value, ensure_ascii=False)
    if error.validator == "additionalProperties":
        return f"In {place}: there is a member that is not known; expected {_members(error)} alone."
    return f"In {place}: {error.validator} is not met; expected {expected[:300]}."


def _known(error: ValidationError) -> set[object]:
    """Return the parts of a path that are the schema's own words, not the sender's."""
    return {part for part in error.absolute_schema_path if isinstance(part, str)} | {
        part for part in error.absolute_path if isinstance(part, int)
    }


def _members(error: ValidationError) -> str:
    return ", ".join(sorted(_properties(error)))


def _properties(error: ValidationError) -> Iterable[str]:
    schema = error.schema
    return schema.get("properties", {}) if isinstance(schema, Mapping) else ()
