"""The DICOM Conformance Statement (PS3.2), written from the code it is about.

`docs/dicom-conformance.md` is what `statement()` returns; a test holds that they are the same.
"""

from collections.abc import Iterable

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE

from serving.conformance_web import dicomweb, table
from serving.dimse.command import Status
from serving.dimse.config import CIPHERS, DimseConfig
from serving.dimse.negotiation import NOT_NOW, TOO_MANY, Rejection, supported_contexts
from serving.fetching.dimse import FIND, GET, MOST_CLASSES, MOVE, UIDS_AT_ONCE
from serving.node.storing import CONFLICT, OTHER_PATIENT
from serving.peers import Peer
from serving.results import terms
from serving.results.equipment import MANUFACTURER, SERIES_NUMBERS, series_description
from serving.results.identity import ResultKind
from serving.results.source import COPIED_FROM_SOURCE
from serving.software import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from serving.worklist.channels import MOST_CHANNELS, MOST_OF_INSTITUTION, PATIENCE_S, Ended
from serving.worklist.items import MOST
from serving.worklist.reports import FILTERED, GLOBAL, EventType
from serving.worklist.subscriptions import MOST_SUBSCRIBERS, MOST_WAITING, WAITING_S

RESULT_CLASSES = {
    ResultKind.REPORT: Comprehensive3DSRStorage,
    ResultKind.SEGMENTATION: SegmentationStorage,
    ResultKind.PRESENTATION: GrayscaleSoftcopyPresentationStateStorage,
    ResultKind.CAPTURE: SecondaryCaptureImageStorage,
}
"""The SOP class of each kind of result."""


def statement() -> str:
    """Return the statement as Markdown."""
    parts = (
        *(_overview(), _storage_scu(), _query_scu(), _storage_scp(), dicomweb(), _worklist()),
        *(_results(), _character_sets(), _security(), _codes(), _accepted_classes()),
    )
    return "\n\n".join(parts) + "\n"


def _uid_rows(uids: Iterable[str]) -> list[tuple[str, str]]:
    return [(UID(uid).name, str(UID(uid))) for uid in uids]


def _overview() -> str:
    rows = [
        *((UID(uid).name, str(uid), "yes", "-") for uid in RESULT_CLASSES.values()),
        ("Every storage SOP class, listed at the end", "PS3.4 B.5", "-", "yes"),
        ("Study Root Query/Retrieve FIND, MOVE, GET", "PS3.4 C.6.2", "yes", "-"),
        ("Verification SOP Class", "1.2.840.10008.1.1", "yes", "yes"),
    ]
    return f"""# DICOM Conformance Statement

In the form of DICOM PS3.2. Written by `serving/conformance.py` from the code that it describes; a
test holds that this page is what the code says.

{MANUFACTURER} reads images that are sent to it and returns pre-reads. Decision support for
professionals; not a cleared medical device; no result is for primary diagnosis.

## Overview

{table(("SOP class", "UID", "sent (SCU)", "received (SCP)"), rows)}

Implementation Class UID `{IMPLEMENTATION_CLASS_UID}`, Implementation Version Name
`{IMPLEMENTATION_VERSION_NAME}`, in every association we open and every file we write."""


def _storage_scu() -> str:
    native = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    contexts = [
        (UID(uid).name, UID(syntax).name) for uid in RESULT_CLASSES.values() for syntax in native
    ]
    peer = Peer("PEER", "host", 104)
    parameters = (
        ("calling AE title", f"`{peer.calling_ae_title}`", "yes"),
        ("time to connect and for each answer", f"{peer.timeout_s:g} s", "yes"),
        ("maximum PDU received", f"{AE().maximum_pdu_size} bytes", "no"),
        ("asynchronous operations, extended negotiation", "none", "no"),
    )
    answers = (
        ("0000, Bxxx", "counts as delivered"),
        ("A7xx, no answer, abort, transient rejection, no connection", "try again later"),
        ("A9xx, Cxxx, 0122, 0124, permanent rejection, other failures", "stop and report"),
    )
    return f"""## Networking

### Storage SCU (results)

An association is opened for each delivery and released after it. Only what is sent is proposed, one
presentation context for each SOP class and transfer syntax; a file that is compressed is proposed
in its own transfer syntax alone.

{table(("abstract syntax", "transfer syntax"), contexts)}

{table(("parameter", "value", "can be set"), parameters)}

{table(("answer to C-STORE", "what we do"), answers)}"""


def _query_scu() -> str:
    return f"""### Query/Retrieve SCU (studies fetched from a PACS)

Study Root Query/Retrieve Information Model, FIND and either MOVE or GET (PS3.4 annex C).
Baseline behaviour, no relational queries. An association is opened for each search and each
retrieval.

{table(("SOP class", "UID", "level and keys"), _query_rows())}

Retrieval names the instances that are wanted, {UIDS_AT_ONCE} in a request. C-MOVE has them sent to
our own AE title. For C-GET the SOP classes that the PACS listed are proposed with the SCP role, in
every transfer syntax that is accepted as SCP; up to {MOST_CLASSES} of them.

{table(("answer", "what we do"), _RETRIEVE_ANSWERS)}

### Verification SCU

`zhuzhen dicom echo` opens an association, sends C-ECHO and releases it."""


_RETRIEVE_ANSWERS = (
    ("0000, B000", "what is here is compared with what was listed; the rest is asked for again"),
    ("A801", "stop and report: the PACS does not know our AE title"),
    ("0122, 0124, A900, permanent rejection", "stop and report"),
    ("other failures, no answer, abort, no connection", "try again later"),
)


def _query_rows() -> list[tuple[str, str, str]]:
    keys = (
        (FIND, "STUDY by Study Instance UID, Accession Number, Patient ID; SERIES, IMAGE by UIDs"),
        (MOVE, "IMAGE by UIDs"),
        (GET, "IMAGE by UIDs"),
    )
    return [(UID(uid).name, str(uid), told) for uid, told in keys]


def _storage_scp() -> str:
    config = DimseConfig()
    parameters = (
        ("AE title", f"`{config.ae_title}`"),
        ("address and port", f"{config.host}:{config.port}"),
        ("associations at the same time", str(config.max_associations)),
        ("maximum PDU received", f"{config.max_pdu_bytes} bytes"),
        ("longest data set", f"{config.max_instance_bytes} bytes"),
        ("time for the association request", f"{config.association_timeout_s:g} s"),
        ("silence after which an association ends", f"{config.idle_timeout_s:g} s"),
    )
    contexts = supported_contexts()
    classes = [str(context.abstract_syntax) for context in contexts]
    syntaxes = [str(syntax) for syntax in contexts[0].transfer_syntax]
    return f"""### Verification and Storage SCP (images)

Associations are accepted from the AE titles and addresses that are listed as sources, for our own
AE title. {len(classes)} SOP classes are accepted (Verification and every storage class that
the library knows; the list is at the end), each with every transfer syntax of the second table.
C-STORE is answered with success once the object is kept with where it comes from, by default on
disk, and no other one with its UID is known; queries find it from then on.
The same object again is a success; another one under a known UID is refused and kept in quarantine
([imaging-node.md](imaging-node.md)).

{table(("parameter", "by default"), parameters)}

{table(("transfer syntax", "UID"), _uid_rows(syntaxes))}

{table(("status", "meaning"), _statuses())}

Whoever should come back later is rejected as transient: {_code(TOO_MANY)} beyond the bound,
{_code(NOT_NOW)} while the audit record takes nothing, as on a full disk."""


def _statuses() -> list[tuple[str, str]]:
    """Return what C-STORE is answered with."""
    general = [
        (f"{status:04X}", status.name.replace("_", " ").lower())
        for status in Status
        if status is not Status.DUPLICATE_INSTANCE
    ]
    return [
        *general,
        (f"{CONFLICT:04X}", "another instance with this SOP Instance UID is known"),
        (f"{OTHER_PATIENT:04X}", "the study is known, and is another patient's"),
    ]


def _code(rejection: Rejection) -> str:
    return f"{rejection.result}, {rejection.source}, {rejection.reason}"


_WORKLIST = f"""### Worklist (UPS-RS)

As origin server: PS3.18 chapter 11 under `/dicom-web/workitems`, `application/dicom+json`. Of a
worklist only the institution's own work items are seen. Searching and filters match by equal
values of attributes at the top level; an answer has {MOST} work items at most, those that people
made before the node's own jobs, and `limit` and `offset` page through all. A work item that comes
without Input Readiness State is `READY`. The node's own jobs, all of them and the newest first, are
work items that it has claimed; asking to cancel one is refused (409). Retrieved, they have Input
and Output Information Sequence (0040,4021; 0040,4033 in 0074,1216) with WADO-RS Retrieval Sequence.
A job that failed and is tried anew by hand is a new work item, which names the ended one in
Replaced Procedure Step Sequence (0074,1224); who is subscribed to that is told of it, too.

Subscriptions follow the transition table CC.2.3-2 of PS3.4: to one work item, to all
(`{GLOBAL}`), and to those that match (`{FILTERED}`;
`filter=ATTRIBUTE=VALUE,...`, or a parameter for each). A subscriber has one global subscription: a
new one takes the place of that before; it is suspended, or ended with all others of the
subscriber, at either UID. With a deletion lock a global subscription is told the state of every
work item at once; of jobs, of the newest 1000 and of all that are open. Deletion locks are always
granted and never lifted: no work item is deleted, but for the erasure of a person.

Event reports are sent on a WebSocket (RFC 6455) that the subscriber opens at
`/ws/subscribers/{{AE title}}`, with the credential of any other request; Content-Location of the
answer to a subscription names it. Each message is one report as DICOM JSON, with Affected SOP
Class and Instance UID, Event Type ID and a Message ID that counts the messages of the connection.
What happens while nobody listens waits, within limits. A report is sent at least once, in order.
One connection listens for an AE title, the newest; on it only the service speaks. Requesting AE is
our own AE title, for requests over HTTP come from none."""


def _worklist() -> str:
    reports = [(str(event.value), told, ", ".join(keys)) for event, told, keys in _REPORTS]
    limits = (
        ("AE titles subscribed, of one institution", str(MOST_SUBSCRIBERS)),
        ("reports that wait for one subscriber", f"{MOST_WAITING}, the newest"),
        ("time that a report waits", f"{WAITING_S / 86400:.0f} days"),
        ("connections, of one institution and in all", f"{MOST_OF_INSTITUTION}, {MOST_CHANNELS}"),
        ("time that a connection may take for one report", f"{PATIENCE_S:.0f} s"),
    )
    closed = [(str(each.code), each.reason.replace("_", " ")) for each in Ended]
    return f"""{_WORKLIST}

{table(("Event Type ID", "event", "attributes"), reports)}

{table(("limit", "value"), limits)}

{table(("code of a connection's end", "why"), [*closed, ("1012", "the service stops")])}"""


_REPORTS = (
    (
        EventType.STATE,
        "UPS State Report: subscribed, created, state or readiness changed",
        (
            "Procedure Step State",
            "Input Readiness State",
            "Reason For Cancellation",
            "Procedure Step Discontinuation Reason Code Sequence",
        ),
    ),
    (
        EventType.CANCEL_REQUESTED,
        "UPS Cancel Requested",
        (
            "Requesting AE",
            "Reason For Cancellation",
            "Procedure Step Discontinuation Reason Code Sequence",
            "Contact URI",
            "Contact Display Name",
        ),
    ),
    (EventType.PROGRESS, "UPS Progress Report", ("Procedure Step Progress Information Sequence",)),
    (
        EventType.SCP_STATUS,
        "SCP Status Change: the service was started anew (`WARM START`)",
        ("SCP Status", "Subscription List Status", "Unified Procedure Step List Status"),
    ),
    (
        EventType.ASSIGNED,
        "UPS Assigned: one for each person",
        (
            "Scheduled Station Name Code Sequence",
            "Human Performer Code Sequence",
            "Human Performer's Organization",
        ),
    ),
)


def _results() -> str:
    series = [
        (
            kind.value,
            UID(RESULT_CLASSES[kind]).name,
            str(SERIES_NUMBERS[kind]),
            series_description(kind),
        )
        for kind in RESULT_CLASSES
    ]
    written = (
        ("Manufacturer (0008,0070)", f"`{MANUFACTURER}`"),
        ("Manufacturer's Model Name (0008,1090)", "name of the model package"),
        ("Software Versions (0018,1020)", "ours, and name and version of the package"),
        ("Device Serial Number (0018,1000)", "first 20 characters of the package's digest"),
        (
            "SOP and Series Instance UID",
            "`2.25.` and a name-based UUID of source (UID, content), package digest, kind",
        ),
        ("Completion, Preliminary, Verification Flag", "`COMPLETE`, `PRELIMINARY`, `UNVERIFIED`"),
    )
    return f"""## Objects written

Every object lies in the study of the image that was read, is encoded in
{UID(ExplicitVRLittleEndian).name}, and refers to the image. [results.md](results.md) says what each
holds. A later version of a report has a series of its own, `..., report v2 - ...`.

{table(("object", "SOP class", "Series Number", "Series Description"), series)}

{table(("attribute", "value"), written)}

Taken over from the source where valid there, else empty (type 2) or left out:
{", ".join(COPIED_FROM_SOURCE)}.

The report follows TID 1500 of PS3.16, with TID 1204 and 1201 (languages), 1002 and 1004 (device
observer), 1410 and 1501 (measurement groups), 300, 4019 (algorithm) and 4108 (tracking). It is
accepted by dciodvfy and by PixelMed's DicomSRValidator, which warns of items that a template does
not name (TID 1500 is extensible)."""


def _character_sets() -> str:
    return """## Character sets

Read: all of PS3.3 C.12.1.1.2; in `ISO 2022 IR 58` with and without escape sequences. Written:
`ISO_IR 192`, or `GB18030` where the source has `GB18030` or `GBK`."""


_TLS = (
    ("versions", "TLS 1.2 and TLS 1.3, which goes first; no older one"),
    ("cipher suites of TLS 1.2", f"`{CIPHERS}` in the words of OpenSSL: forward secret, AEAD"),
    ("cipher suites of TLS 1.3", "those of OpenSSL"),
    (
        "certificate of the node",
        "`tls.certificate` and `tls.key` in `node.yaml`; RSA of 2048 bits or more, or ECDSA",
    ),
    (
        "certificates of callers",
        "with `tls.client_authorities` each must show one that one of these authorities has "
        "issued and that is valid now; else nobody is asked",
    ),
    (
        "certificate and AE title",
        "with `certificate_names` a source's certificate must have one of them as DNS name or "
        "common name",
    ),
    ("port", "the one port of the node; with `tls` nothing is taken on it without TLS"),
    ("as client", "the same versions; name and authority of the peer are verified"),
)
_TURNED_AWAY = (
    ("no TLS, no certificate, no common version or cipher suite", "`no_acceptable_tls`"),
    ("certificate of another authority, expired, not valid yet", "`certificate_refused`"),
    ("certificate of another AE title (A-ASSOCIATE-RJ 1, 1, 3)", "`certificate_of_others`"),
    ("AE title that is not known (A-ASSOCIATE-RJ 1, 1, 3)", "`caller_not_known`"),
)


def _security() -> str:
    return f"""## Security

Secure transport: the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12)
on DICOM associations, as server and client, where it is set up. The modified profile (B.13) and the
retired ones are not claimed.

{table(("TLS", "what is configured"), _TLS)}

Who is turned away is told by the TLS alert or the rejection, and leaves an audit event:

{table(("turned away", "reason on record"), _TURNED_AWAY)}

DICOMweb: TLS 1.2 or newer, too. De-identification: the Basic Application Level Confidentiality
Profile with options, as [deidentification.md](deidentification.md) states. Access control and
audit: [security.md](security.md)."""


def _codes() -> str:
    own = [(f"`{term.value}`", term.meaning) for term in terms.OWN_TERMS]
    scheme = terms.scheme_identification()
    return f"""## Codes of our own

Coding Scheme Designator `{terms.PRIVATE_SCHEME}`, UID `{scheme.CodingSchemeUID}`, for what no
standard code says:

{table(("Code Value", "Code Meaning"), own)}"""


def _accepted_classes() -> str:
    classes = [str(context.abstract_syntax) for context in supported_contexts()]
    return f"""## SOP classes accepted as SCP

{table(("SOP class", "UID"), _uid_rows(classes))}"""
