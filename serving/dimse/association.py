"""One association, from its request to its end (PS3.8 section 7, PS3.7 section 8)."""

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from models.errors import ZhuzhenError
from serving import tracing
from serving.dimse.command import (
    AFFECTED_SOP_CLASS,
    AFFECTED_SOP_INSTANCE,
    COMMAND_FIELD,
    Command,
    CommandSet,
    Status,
    answer_to,
)
from serving.dimse.config import DimseConfig, names_of
from serving.dimse.negotiation import (
    NOT_ADMITTED,
    NOT_NOW,
    Agreement,
    Rejection,
    negotiate,
)
from serving.dimse.reception import Answer, Budget, Incoming, Intake, Peer, Reception, Room
from serving.dimse.wire import (
    RELEASE_RESPONSE,
    AbortReason,
    Connection,
    PduType,
    PeerLeft,
    ProtocolBroken,
    Value,
    abort_unit,
    command_unit,
)
from serving.tracing import Attribute, Stage

_LONGEST_COMMAND = 64 * 1024


class TryLaterError(ZhuzhenError):
    """Whether an association may be opened cannot be decided now; the caller may try again."""


class Handler(Protocol):
    """What decides about associations and instances; called from many threads at once."""

    def admit(self, peer: Peer) -> bool:
        """Whether the known caller `peer` may open an association.

        Raises:
            TryLaterError: that cannot be decided now.
        """

    def reject(self, peer: Peer, why: str) -> None:
        """Take note that a connection or an association was rejected; `why` is a machine name."""

    def receive(self, incoming: Incoming) -> Intake:
        """Return what takes in an instance that begins to arrive."""

    def leave(self, peer: Peer, stored: int, why: str) -> None:
        """Take note that an association ended; `why` is empty after a regular release."""


class Association:
    """Serves one connection, on the thread that calls `run`."""

    def __init__(
        self,
        connection: Connection,
        peer: Peer,
        config: DimseConfig,
        handler: Handler,
        budget: Budget,
    ) -> None:
        self._connection = connection
        self._peer = peer
        self._config = config
        self._handler = handler
        self._room = Room(budget, config.max_instance_bytes)
        self._contexts: Mapping[int, tuple[str, str]] = {}
        self._stored = 0
        self._command: CommandSet | None = None
        self._command_bytes = b""
        self._context_id = 0
        self._reception: Reception | None = None

    def run(self, refusal: Rejection | None = None) -> None:
        """Negotiate, serve and end; with `refusal`, answer the request with that."""
        why = ""
        opened = False
        try:
            with tracing.beginning(Stage.ASSOCIATION):
                opened = self._open(refusal)
                if opened:
                    self._serve()
        except PeerLeft as error:
            why = f"the sender left in the middle ({error})" if opened else ""
        except ProtocolBroken as error:
            why = f"the sender broke the protocol: {error}"
            self._abort(error.reason)
        finally:
            if self._reception is not None:
                self._reception.close()
            self._room.close()
            if opened:
                self._handler.leave(self._peer, self._stored, why)
            elif why:
                self._handler.reject(self._peer, "protocol_broken")

    def _open(self, refusal: Rejection | None) -> bool:
        self._connection.deadline = time.monotonic() + self._config.association_timeout_s
        kind, length = self._connection.begin()
        if kind != PduType.ASSOCIATE_RQ:
            raise ProtocolBroken("no association request", AbortReason.UNEXPECTED_PDU)
        request = bytes((kind, 0)) + length.to_bytes(4, "big") + self._connection.body()
        agreed: Agreement | Rejection
        agreed = refusal or negotiate(
            request, self._peer.address, self._config, self._peer.certificate_names
        )
        if isinstance(agreed, Rejection):
            self._connection.write(agreed.unit())
            self._handler.reject(self._peer, agreed.why)
            return False
        self._peer = replace(self._peer, ae_title=agreed.caller.ae_title)
        refused = self._admission()
        if refused is not None:
            self._connection.write(refused.unit())
            self._handler.reject(self._peer, refused.why)
            return False
        self._contexts = agreed.contexts
        self._connection.write(agreed.unit)
        return True

    def _admission(self) -> Rejection | None:
        try:
            return None if self._handler.admit(self._peer) else NOT_ADMITTED
        except TryLaterError:
            return NOT_NOW

    def _serve(self) -> None:
        while True:
            if self._reception is None:
                self._connection.deadline = None
            kind, _ = self._connection.begin()
            if kind == PduType.DATA:
                while (value := self._connection.next_value()) is not None:
                    self._take(value)
            elif kind == PduType.RELEASE_RQ:
                self._connection.write(RELEASE_RESPONSE)
                return
            elif kind == PduType.ABORT:
                raise PeerLeft("aborted")
            else:
                raise ProtocolBroken("unit not expected here", AbortReason.UNEXPECTED_PDU)

    def _take(self, value: Value) -> None:
        if value.context_id not in self._contexts:
            raise ProtocolBroken("presentation context that was not agreed on")
        if value.is_command:
            self._take_command(value)
            return
        if self._reception is None or value.context_id != self._context_id:
            raise ProtocolBroken("data set without a command before it")
        place = self._reception.place_for(value.length)
        if place is None:
            self._connection.skip(value.length)
        else:
            self._connection.fill(place)
            self._reception.add(value.length)
        if value.is_last:
            self._answer_store(self._reception)

    def _take_command(self, value: Value) -> None:
        if self._reception is not None:
            raise ProtocolBroken("command in the middle of a data set")
        if len(self._command_bytes) + value.length > _LONGEST_COMMAND:
            raise ProtocolBroken("command of impossible length")
        fragment = bytearray(value.length)
        self._connection.fill(memoryview(fragment))
        self._command_bytes += fragment
        if not value.is_last:
            return
        command = CommandSet(self._command_bytes)
        self._command_bytes = b""
        self._command = command
        self._context_id = value.context_id
        if command.has_data_set:
            self._connection.deadline = time.monotonic() + self._config.message_timeout_s
            self._reception = self._begin(command)
        elif command.number(COMMAND_FIELD) == Command.C_ECHO_RQ:
            self._answer(Command.C_ECHO_RSP, Answer(Status.SUCCESS))
        elif command.number(COMMAND_FIELD) != Command.C_CANCEL_RQ:
            self._refuse_operation()

    def _refuse_operation(self) -> None:
        assert self._command is not None  # noqa: S101 - the caller has just set it
        field = self._command.number(COMMAND_FIELD)
        if field is None or field & 0x8000:
            raise ProtocolBroken("command that is not a request")
        answer = answer_to(self._command, field | 0x8000, Status.UNRECOGNIZED_OPERATION)
        self._connection.write(command_unit(self._context_id, answer))

    def _begin(self, command: CommandSet) -> Reception:
        """Return what receives the data set that follows `command`."""
        reception = Reception(self._room)
        abstract_syntax, transfer_syntax = self._contexts[self._context_id]
        sop_class = command.uid(AFFECTED_SOP_CLASS)
        if sop_class != abstract_syntax:
            reception.refuse(_NOT_AGREED_ON)
        elif command.number(COMMAND_FIELD) == Command.C_STORE_RQ:
            instance = command.uid(AFFECTED_SOP_INSTANCE)
            incoming = Incoming(self._peer, sop_class, instance, transfer_syntax)
            reception.hand_to(self._handler.receive(incoming))
        return reception

    def _answer_store(self, reception: Reception) -> None:
        assert self._command is not None  # noqa: S101 - set with the reception
        self._reception = None
        try:
            if self._command.number(COMMAND_FIELD) != Command.C_STORE_RQ:
                self._refuse_operation()
                return
            with tracing.span(Stage.STORE) as span:
                answer = reception.store()
                tracing.note(span, Attribute.DICOM_STATUS, answer.status)
        finally:
            reception.close()
        if answer.status == Status.SUCCESS:
            self._stored += 1
        self._answer(Command.C_STORE_RSP, answer)

    def _answer(self, field: Command, answer: Answer) -> None:
        assert self._command is not None  # noqa: S101 - there is one to be answered
        encoded = answer_to(self._command, field, answer.status, answer.comment)
        self._connection.write(command_unit(self._context_id, encoded))

    def _abort(self, reason: AbortReason) -> None:
        try:
            self._connection.write(abort_unit(reason))
        except PeerLeft:
            return


_NOT_AGREED_ON = Answer(Status.SOP_CLASS_NOT_SUPPORTED, "Not the SOP class that was agreed on")


def serve_connection(
    peer: socket.socket,
    config: DimseConfig,
    handler: Handler,
    budget: Budget,
    refusal: Rejection | None = None,
) -> None:
    """Serve the association on the connected socket `peer` and close it."""
    with peer:
        try:
            address = str(peer.getpeername()[0])
            certificate = peer.getpeercert() if isinstance(peer, ssl.SSLSocket) else None
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return
        connection = Connection(peer, max_pdu=config.max_pdu_bytes, idle_s=config.idle_timeout_s)
        who = Peer("", address, names_of(certificate))
        Association(connection, who, config, handler, budget).run(refusal)
