"""`/v1/recognize` and `/v1/classify-pathology`: from a request's body to answers on its images."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from opentelemetry.trace import Span
from starlette.requests import Request
from starlette.responses import Response

from models.errors import OtherKindError, PackageError, PackageNotFoundError
from models.observation import UNKNOWN
from models.preprocessing import ImageKind
from serving import tracing
from serving.access import Access, access_of
from serving.answers import answer_of, write_json
from serving.archive.patients import patient_in
from serving.metrics import count_reading
from serving.model_doors import other_door
from serving.observations import ImageWatch
from serving.overlay import draw_overlay, png_of
from serving.privacy import Keyring
from serving.problems import Problem
from serving.recognition import Reading, Recognizer
from serving.settings import Settings
from serving.shelf import Shelf
from serving.tracing import Attribute, Stage
from serving.uploads import Upload, is_multipart, receive
from serving.watching import Watcher

_SWITCH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Options:
    """What the query of a request asks for."""

    model: str
    """`name` or `name@version`."""
    overlay: bool = False
    """Whether each answer carries a picture, base64 of a PNG under `overlay_png`."""


class ReadingRoom:
    """Reads images of many requests at the same time, on a fixed number of threads."""

    def __init__(self, settings: Settings, keyring: Keyring, watcher: Watcher | None) -> None:
        """Open the room; `watcher` is told of its readings, under pseudonyms of `keyring`."""
        self._settings = settings
        self._shelf = Shelf(settings.precision)
        # The model that most requests want is loaded before the first of them comes, and a package
        # that must not be loaded keeps the service from starting.
        self._shelf.recognizer(settings.model)
        self._shelf.follow(settings.follow_every_s)
        self._watch = ImageWatch(watcher, self._shelf, keyring)
        self._readers = ThreadPoolExecutor(settings.threads, thread_name_prefix="reader")
        # While a thread reads one body, the next is received.
        open_bodies = max(settings.max_open_bodies, 2 * settings.threads)
        self._open_bodies = asyncio.Semaphore(open_bodies)

    def close(self) -> None:
        """Let the readers finish what they have begun."""
        self._shelf.close()
        self._readers.shutdown(cancel_futures=True)

    async def answer(self, request: Request, kind: ImageKind) -> Response:
        """Answer one request: one object for one image, `{"results": [...]}` for multipart.

        `kind` is what the door that the request came to is for.

        Raises:
            Problem: the request cannot be served; an image that cannot be read can be.
        """
        options = options_of(request, self._default(kind))
        multipart = is_multipart(request)
        recognizer = await self._recognizer(options.model)
        _require(recognizer, kind)
        async with self._open_bodies:
            with tracing.span(Stage.RECEIVE):
                uploads = await receive(request, self._settings)
            access = access_of(request)
            loop, read = asyncio.get_running_loop(), tracing.carried(self._read)
            answers = await asyncio.gather(
                *(
                    loop.run_in_executor(self._readers, read, recognizer, upload, options, access)
                    for upload in uploads
                )
            )
        body = b'{"results":[' + b",".join(answers) + b"]}" if multipart else answers[0]
        return Response(body, media_type="application/json")

    def _default(self, kind: ImageKind) -> str:
        return self._settings.tile_model if kind is ImageKind.TILE else self._settings.model

    async def _recognizer(self, model: str) -> Recognizer:
        ready = self._shelf.ready(model)
        if ready is not None:
            return ready
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._shelf.recognizer, model)
        except PackageNotFoundError as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
        except OtherKindError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, other_door(error)) from error
        except PackageError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def _read(
        self, recognizer: Recognizer, upload: Upload, options: Options, access: Access
    ) -> bytes:
        """Return the answer on one input, ready to be sent: readers do the work, not the loop.

        Raises:
            Problem: 403, the sender may not have it read.
        """
        institution = access.actor.institution or UNKNOWN
        patient = patient_in(institution, upload.data, access.guard.keyring)
        access.require(access.own("image", patient))
        with tracing.span(Stage.READING) as span:
            reading = recognizer.read(upload.data)
            _describe(span, reading)
        count_reading(reading.pre_read)
        self._watch.saw(options.model, reading, upload.data, institution)
        answer = answer_of(
            reading.pre_read, source=upload.name, intended_use=recognizer.package.statement
        )
        if options.overlay:
            png = png_of(draw_overlay(reading))
            answer["overlay_png"] = base64.b64encode(png).decode("ascii")
        return write_json(answer).encode()


def _describe(span: Span, reading: Reading) -> None:
    model = reading.pre_read.model
    tracing.note(span, Attribute.MODEL, model.name)
    tracing.note(span, Attribute.VERSION, model.version)
    tracing.note(span, Attribute.VERDICT, reading.pre_read.verdict.value)


def _require(recognizer: Recognizer, kind: ImageKind) -> None:
    made_for = recognizer.package.input_spec.kind
    if made_for != kind:
        other = OtherKindError(recognizer.package.reference_to.name, made_for)
        raise Problem(HTTPStatus.BAD_REQUEST, other_door(other))


def options_of(request: Request, default_model: str) -> Options:
    """Return the options in the query of `request`.

    Raises:
        Problem: 400, naming the option and what was expected.
    """
    query = request.query_params
    if set(query) - {"model", "overlay"} or len(query) != len(query.multi_items()):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The query has an option that is not known or is given twice; expected model and "
            "overlay, once each at most.",
        )
    overlay = query.get("overlay", "false").lower()
    if overlay not in _SWITCH:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The option overlay is neither true nor false; give one of them.",
        )
    return Options(query.get("model", default_model), _SWITCH[overlay])
