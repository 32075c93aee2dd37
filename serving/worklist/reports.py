"""What subscribers are told: UPS event reports as DICOM JSON (PS3.4 table CC.2.4-1, PS3.18 11.13).

A report holds no attribute of the patient but what the work item's own texts repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from serving.archive.header import Attributes

STATE, SOP_INSTANCE = "00741000", "00080018"
READINESS = "00404041"
PROGRESS = "00741002"
STATIONS, PERFORMERS = "00404025", "00404034"
_PERFORMER_CODE, _ORGANISATION = "00404009", "00404036"
REASON, REASON_CODES = "00741238", "0074100E"
_CONTACT = ("0074100A", "0074100C")
_REQUESTING_AE = "00741236"
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
"""SOP class of every work item, whichever way it came (PS3.4 CC.3.1.1)."""
GLOBAL = "1.2.840.10008.5.1.4.34.5"
"""UPS Global Subscription SOP Instance (PS3.6 annex A): all work items."""
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
"""UPS Filtered Global Subscription SOP Instance: those that match."""


class EventType(IntEnum):
    """Event Type ID (0000,1002)."""

    STATE = 1
    """UPS State Report."""
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    SCP_STATUS = 4
    """SCP Status Change: this service was started anew."""
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class Report:
    """One event of one work item."""

    uid: str
    """Of the work item; of `GLOBAL` where it is about the service."""
    event: EventType
    attributes: Attributes

    def message(self, number: int) -> Attributes:
        """Return it as it is sent, with its number on the connection (0000,0110)."""
        return {
            "00000002": {"vr": "UI", "Value": [UPS_PUSH]},
            "00000110": {"vr": "US", "Value": [number]},
            "00001000": {"vr": "UI", "Value": [self.uid]},
            "00001002": {"vr": "US", "Value": [self.event.value]},
            **dict(sorted(self.attributes.items())),
        }


def state_report(uid: str, item: Attributes) -> Report:
    """Report the state of a work item, and why it was cancelled where it says so."""
    found: Attributes = {STATE: item[STATE], READINESS: item.get(READINESS, READY)}
    for progress in _items(item, PROGRESS):
        found |= _chosen(progress, (REASON, REASON_CODES))
    return Report(uid, EventType.STATE, found)


def cancel_report(uid: str, asked: Attributes, requesting_ae: str) -> Report:
    """Report that somebody asks for a work item to be cancelled, with what they said of it."""
    found = _chosen(asked, (REASON, REASON_CODES, *_CONTACT))
    found[_REQUESTING_AE] = {"vr": "AE", "Value": [requesting_ae]}
    return Report(uid, EventType.CANCEL_REQUESTED, found)


def progress_report(uid: str, item: Attributes) -> Report:
    """Report how far the work on a work item is."""
    return Report(uid, EventType.PROGRESS, {PROGRESS: item.get(PROGRESS, {"vr": "SQ"})})


def assignment_reports(uid: str, item: Attributes) -> list[Report]:
    """Report to whom a work item is assigned: one report for each person, none for nobody."""
    stations = _chosen(item, (STATIONS,))
    found = [
        stations | _chosen(each, (_PERFORMER_CODE, _ORGANISATION))
        for each in _items(item, PERFORMERS)
    ]
    return [Report(uid, EventType.ASSIGNED, each) for each in found or [stations] if each]


def restart_report() -> Report:
    """Report that this service was started anew and has kept subscriptions and work items."""
    return Report(
        GLOBAL,
        EventType.SCP_STATUS,
        {
            "00741242": {"vr": "CS", "Value": ["RESTARTED"]},
            "00741244": {"vr": "CS", "Value": ["WARM START"]},
            "00741246": {"vr": "CS", "Value": ["WARM START"]},
        },
    )


def changes_of(uid: str, before: Attributes, after: Attributes) -> list[Report]:
    """Report what an update changed of that which subscribers are told (PS3.4 CC.2.4.3)."""

    def differs(*keys: str) -> bool:
        return any(before.get(key) != after.get(key) for key in keys)

    found: list[Report] = []
    if differs(READINESS):
        found.append(state_report(uid, after))
    if differs(STATIONS, PERFORMERS):
        found += assignment_reports(uid, after)
    if differs(PROGRESS):
        found.append(progress_report(uid, after))
    return found


READY: Attributes = {"vr": "CS", "Value": ["READY"]}
"""Input Readiness State where whoever made the work item did not say."""


def _items(attributes: Attributes, key: str) -> list[Attributes]:
    """Return the items of a sequence; what senders put there beside them is passed over."""
    found = attributes.get(key, {}).get("Value") or []
    return [each for each in found if isinstance(each, dict)]


def _chosen(attributes: Attributes, keys: Sequence[str]) -> Attributes:
    """Return those of `keys` that have a value; an element that is none is passed over."""
    found = {key: attributes.get(key) for key in keys}
    return {
        key: each for key, each in found.items() if isinstance(each, dict) and each.get("Value")
    }
