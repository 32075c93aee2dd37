"""A DICOM application entity, and associations with it (PS3.8)."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from serving.peers.errors import PeerError
from serving.software import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_REJECTED_FOR_GOOD = 1
"""Result of A-ASSOCIATE-RJ: 1 permanent, 2 transient (PS3.8 9.3.4)."""


@dataclass(frozen=True)
class Peer:
    """A DICOM application entity and how to reach it."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "ZHUZHEN"
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0
    """To connect, and for each answer."""

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def entity_of(peer: Peer) -> AE:
    """Return the entity that we are before `peer`; what it proposes is the caller's to add."""
    entity = AE(peer.calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = peer.timeout_s
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout_s
    return entity


@contextlib.contextmanager
def associated(
    entity: AE,
    peer: Peer,
    *,
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """Give an association with `peer`, released at the end.

    Raises:
        PeerError: it is not reached, or does not let us in, or takes nothing of what is proposed.
    """
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        tls_args=None if peer.tls is None else (peer.tls, peer.host),
        evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), *handlers],
        ext_neg=list(roles),
    )
    if not association.is_established:
        raise _refusal(association, peer)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _send_at_once(event: evt.Event) -> None:
    """Have the system send what it is given, instead of collecting it (Nagle's algorithm).

    A command and its data set are sent one after the other: the second would be held back until the
    peer has acknowledged the first, for which many wait 40 ms.
    """
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        with contextlib.suppress(OSError):
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _refusal(association: Association, peer: Peer) -> PeerError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        for_good = answer is not None and answer.result == _REJECTED_FOR_GOOD
        reason = answer.reason_str if answer is not None else "no reason given"
        return PeerError(
            f"{peer} rejects the association of {peer.calling_ae_title} "
            f"({reason.lower()}). Check that it knows both AE titles.",
            can_heal=not for_good,
        )
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return PeerError(
            f"{peer} takes none of the SOP classes that were proposed. Allow them there, or leave "
            "them out here.",
            can_heal=False,
        )
    return PeerError(
        f"{peer} cannot be reached. Check address, port and firewall, and that it runs.",
        can_heal=True,
    )
