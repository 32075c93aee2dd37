"""Who is let in, and for what: association requests answered (PS3.8 section 7.1, PS3.7 annex D)."""

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType

from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from serving.dimse.config import Caller, DimseConfig
from serving.dimse.wire import AbortReason, ProtocolBroken
from serving.imaging import READ_TRANSFER_SYNTAXES
from serving.software import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

# Its messages repeat what senders wrote.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")
_REMEMBERED = 64
"""Requests whose answers are remembered: a modality asks with the same bytes every time, and
pynetdicom needs 20 ms for the 128 contexts that many propose."""
_PREFERRED_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.70",
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ: PS3.8 table 9-21."""

    result: int
    source: int
    reason: int
    why: str
    """A machine name for the audit record."""

    def unit(self) -> bytes:
        """Return the encoded unit."""
        return struct.pack(">BxLxBBB", 3, 4, self.result, self.source, self.reason)


CALLER_NOT_KNOWN = Rejection(1, 1, 3, "caller_not_known")
CERTIFICATE_OF_OTHERS = Rejection(1, 1, 3, "certificate_of_others")
"""Whoever calls under this AE title has another certificate."""
CALLED_NOT_KNOWN = Rejection(1, 1, 7, "called_not_known")
CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2, "context_not_supported")
TOO_MANY = Rejection(2, 3, 2, "too_many")
NOT_ADMITTED = Rejection(1, 1, 1, "not_permitted")
NOT_NOW = Rejection(2, 3, 1, "not_recorded")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides agreed on."""

    caller: Caller
    contexts: Mapping[int, tuple[str, str]]
    """Abstract and transfer syntax by presentation context ID."""
    unit: bytes
    """The encoded A-ASSOCIATE-AC."""


@lru_cache(maxsize=_REMEMBERED)
def _read_request(unit: bytes) -> A_ASSOCIATE:
    """Decode an A-ASSOCIATE-RQ.

    Raises:
        ProtocolBroken: it cannot be decoded.
    """
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(unit)
        return request.to_primitive()
    except Exception:  # noqa: BLE001 - pynetdicom raises errors of any type on hostile bytes
        raise ProtocolBroken(
            "association request that cannot be decoded", AbortReason.INVALID_PARAMETER
        ) from None


def negotiate(
    unit: bytes,
    address: str,
    config: DimseConfig,
    certificate_names: frozenset[str] = frozenset(),
) -> Agreement | Rejection:
    """Answer the encoded request `unit` from `address`, whose certificate has these names.

    Raises:
        ProtocolBroken: it cannot be decoded or answered.
    """
    request = _read_request(unit)
    if request.application_context_name != _APPLICATION_CONTEXT:
        return CONTEXT_NOT_SUPPORTED
    if request.called_ae_title.strip() != config.ae_title:
        return CALLED_NOT_KNOWN
    caller = _caller(request.calling_ae_title.strip(), address, config)
    if caller is None:
        return CALLER_NOT_KNOWN
    if caller.certificate_names and certificate_names.isdisjoint(caller.certificate_names):
        return CERTIFICATE_OF_OTHERS
    try:
        contexts, answer = _accept(unit, config.max_pdu_bytes)
    except Exception:  # noqa: BLE001 - as in _read_request
        raise ProtocolBroken("association request that cannot be answered") from None
    return Agreement(caller, contexts, answer)


def _caller(title: str, address: str, config: DimseConfig) -> Caller | None:
    for caller in config.callers:
        if caller.ae_title == title and caller.calls_from(address):
            return caller
    return None


@lru_cache(maxsize=_REMEMBERED)
def _accept(unit: bytes, max_pdu_bytes: int) -> tuple[Mapping[int, tuple[str, str]], bytes]:
    """Return what is agreed on with the sender of a request, and the encoded A-ASSOCIATE-AC."""
    request = _read_request(unit)
    contexts, _ = negotiate_as_acceptor(
        request.presentation_context_definition_list, supported_contexts()
    )
    answer = A_ASSOCIATE()
    answer.application_context_name = _APPLICATION_CONTEXT
    answer.calling_ae_title = request.calling_ae_title
    answer.called_ae_title = request.called_ae_title
    answer.result = 0
    answer.result_source = 1
    answer.presentation_context_definition_results_list = contexts
    answer.user_information = [*_about_us(max_pdu_bytes)]
    accepted = {
        context.context_id: (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in contexts
        if context.result == 0 and context.context_id is not None
    }
    return MappingProxyType(accepted), A_ASSOCIATE_AC(answer).encode()


def _about_us(
    max_pdu_bytes: int,
) -> list[
    MaximumLengthNotification
    | ImplementationClassUIDNotification
    | ImplementationVersionNameNotification
]:
    longest = MaximumLengthNotification()
    longest.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    name = ImplementationVersionNameNotification()
    name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return [longest, implementation, name]


@cache
def supported_contexts() -> list[PresentationContext]:
    """Return every storage class and verification, with every transfer syntax that is decoded."""
    preferred = [syntax for syntax in _PREFERRED_SYNTAXES if syntax in READ_TRANSFER_SYNTAXES]
    syntaxes = preferred + sorted(set(READ_TRANSFER_SYNTAXES) - set(preferred))
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    contexts = []
    for sop_class in (str(Verification), *classes):
        context = PresentationContext()
        context.abstract_syntax = UID(sop_class)
        context.transfer_syntax = [UID(syntax) for syntax in syntaxes]
        contexts.append(context)
    return contexts
