"""Subscribers of the worklist on real WebSockets, against the real service."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import httpx
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from serving.attached import attached_service
from serving.cli.app import app
from serving.identity.institutions import add_institution
from serving.identity.keys import id_of
from serving.identity.local import passing_key
from serving.identity.records import Tier
from serving.policy import Action, Role
from serving.records import database_url, open_engine
from tests.access_table import expected_access
from tests.event_listener import (
    GLOBAL,
    STATE,
    Attributes,
    heard,
    listening,
    subscribe,
    told,
    value,
)
from tests.integration.serving.node.conftest import RunningNode

READINESS, LABEL, PROGRESS = "00404041", "00741204", "00741002"
PATIENT_ID, PRIORITY = "00100020", "00741200"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"


@pytest.fixture
def http(node: RunningNode) -> Iterator[httpx.Client]:
    with node.client() as client:
        yield client


@pytest.fixture
def title() -> str:
    """An AE title that no other test uses."""
    return f"W{generate_uid()[-13:]}"


def create(http: httpx.Client, **more: Attributes) -> str:
    uid = str(generate_uid())
    item = {LABEL: {"vr": "LO", "Value": ["Read this, 请阅片"]}, **more}
    http.post(f"/dicom-web/workitems?{uid}", json=[item]).raise_for_status()
    return uid


def change_state(http: httpx.Client, uid: str, state: str, transaction: str) -> None:
    body = {
        STATE: {"vr": "CS", "Value": [state]},
        "00081195": {"vr": "UI", "Value": [transaction]},
    }
    http.put(f"/dicom-web/workitems/{uid}/state", json=body).raise_for_status()


def test_a_work_item_is_reported_from_its_subscription_to_its_end(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    uid, mine = create(http), str(generate_uid())
    with listening(node.service, title) as connection:
        answer = subscribe(http, uid, title)
        assert answer.status_code == 201
        place = node.service.url.replace("http:", "ws:") + f"/ws/subscribers/{title}"
        assert answer.headers["Content-Location"] == place
        (first,) = heard(connection, 1)
        assert first == {
            "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},
            "00000110": {"vr": "US", "Value": [1]},
            "00001000": {"vr": "UI", "Value": [uid]},
            "00001002": {"vr": "US", "Value": [1]},
            READINESS: {"vr": "CS", "Value": ["READY"]},
            STATE: {"vr": "CS", "Value": ["SCHEDULED"]},
        }
        change_state(http, uid, "IN PROGRESS", mine)
        how_far = {"vr": "SQ", "Value": [{"00741004": {"vr": "DS", "Value": [50]}}]}
        who = {
            "vr": "SQ",
            "Value": [
                {"00404009": {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["李"]}}]}}
            ],
        }
        place = f"/dicom-web/workitems/{uid}?{mine}"
        http.post(place, json={PROGRESS: how_far, "00404034": who}).raise_for_status()
        # What does not concern subscribers is not told.
        http.post(place, json={LABEL: {"vr": "LO", "Value": ["Half"]}}).raise_for_status()
        asked = {"00741238": {"vr": "LT", "Value": ["Wrong side, 部位错误"]}}
        cancel = f"/dicom-web/workitems/{uid}/cancelrequest"
        assert http.post(cancel, json=asked).status_code == 202
        change_state(http, uid, "CANCELED", mine)
        reports = heard(connection, 5)
    assert [told(each) for each in reports] == [
        (1, "IN PROGRESS"),
        (5, ""),
        (3, ""),
        (2, ""),
        (1, "CANCELED"),
    ]
    assert [value(each, "00000110") for each in reports] == [2, 3, 4, 5, 6]
    assert reports[1]["00404009"] == who["Value"][0]["00404009"]  # type: ignore[index]
    assert reports[2][PROGRESS] == how_far
    assert value(reports[3], "00741238") == "Wrong side, 部位错误"
    assert value(reports[3], "00741236") == "ZHUZHEN"


def test_what_nobody_has_claimed_is_cancelled_by_way_of_in_progress(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    uid = create(http)
    subscribe(http, uid, title)
    http.post(f"/dicom-web/workitems/{uid}/cancelrequest").raise_for_status()
    # What was told while nobody listened has waited.
    with listening(node.service, title) as connection:
        reports = heard(connection, 4)
    assert [told(each) for each in reports] == [
        (1, "SCHEDULED"),
        (2, ""),
        (1, "IN PROGRESS"),
        (1, "CANCELED"),
    ]


def test_all_work_items_until_suspended_and_then_no_more(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    before = create(http)
    watcher = f"/dicom-web/workitems/{GLOBAL}/subscribers/{title}"
    with listening(node.service, title) as connection:
        # Without a lock, nothing is told of what there is; of what changes in it, all.
        subscribe(http, GLOBAL, title)
        assert heard(connection, 0) == []
        change_state(http, before, "IN PROGRESS", str(generate_uid()))
        station = {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["CAD1"]}}]}
        created = create(http, **{"00404025": station})
        first, second, third = heard(connection, 3)
        assert (value(first, "00001000"), told(first)) == (before, (1, "IN PROGRESS"))
        assert (value(second, "00001000"), told(second)) == (created, (1, "SCHEDULED"))
        assert (told(third), third["00404025"]) == ((5, ""), station)
        assert http.post(f"{watcher}/suspend").status_code == 200
        create(http)
        change_state(http, created, "IN PROGRESS", str(generate_uid()))
        (still,) = heard(connection, 1)
        assert (value(still, "00001000"), told(still)) == (created, (1, "IN PROGRESS"))
        # Subscribed again, with a lock: the state of everything that there is.
        subscribe(http, GLOBAL, title, deletionlock="true")
        known = http.get("/dicom-web/workitems").json()
        states = heard(connection, len(known))
        assert {(value(each, "00001000"), value(each, STATE)) for each in states} == {
            (value(each, "00080018"), value(each, STATE)) for each in known
        }
        assert http.delete(watcher).status_code == 200
        change_state(http, create(http), "IN PROGRESS", str(generate_uid()))
        assert heard(connection, 0) == []


def test_a_filter_chooses_by_what_a_work_item_is_when_it_comes(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    urgent = {PRIORITY: {"vr": "CS", "Value": ["HIGH"]}}
    old = create(http, **urgent)
    create(http)
    query = {"filter": "ScheduledProcedureStepPriority=HIGH,ProcedureStepState=SCHEDULED"}
    with listening(node.service, title) as connection:
        subscribe(http, FILTERED, title, deletionlock="true", **query)
        states = {value(each, "00001000") for each in heard_all(connection)}
        assert old in states
        change_state(http, create(http), "IN PROGRESS", str(generate_uid()))
        new = create(http, **urgent)
        # It does not fit any more and is told of all the same: the subscription is to the item.
        change_state(http, new, "IN PROGRESS", str(generate_uid()))
        first, second = heard(connection, 2)
    assert [(value(each, "00001000"), told(each)) for each in (first, second)] == [
        (new, (1, "SCHEDULED")),
        (new, (1, "IN PROGRESS")),
    ]
    place = f"/dicom-web/workitems/{FILTERED}/subscribers/{title}"
    for wrong in ("", "?filter=", "?filter=NoSuchThing=1", "?filter=PatientID", "?deletionlock=2"):
        assert http.post(place + wrong).status_code == 400
    http.delete(place).raise_for_status()


def heard_all(connection: ClientConnection) -> list[Attributes]:
    found = [json.loads(connection.recv(20))]
    while True:
        try:
            found.append(json.loads(connection.recv(0.6)))
        except TimeoutError:
            return found


def test_a_new_connection_takes_over_and_nothing_is_lost_or_sent_twice(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    uid, mine = create(http), str(generate_uid())
    subscribe(http, uid, title)
    with listening(node.service, title) as old:
        assert [told(each) for each in heard(old, 1)] == [(1, "SCHEDULED")]
        with listening(node.service, title) as new:
            with pytest.raises(ConnectionClosed):
                old.recv(20)
            assert old.close_code == 4000
            change_state(http, uid, "IN PROGRESS", mine)
            assert [told(each) for each in heard(new, 1)] == [(1, "IN PROGRESS")]
    change_state(http, uid, "COMPLETED", mine)
    with listening(node.service, title) as again:
        assert [told(each) for each in heard(again, 1)] == [(1, "COMPLETED")]


def test_who_speaks_on_it_is_hung_up_on(node: RunningNode, title: str) -> None:
    for message in ("hello", b"\0" * 100):
        with listening(node.service, title) as connection:
            connection.send(message)
            with pytest.raises(ConnectionClosed):
                connection.recv(20)
            assert connection.close_code == 1003
    with listening(node.service, title) as connection:
        connection.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            connection.recv(20)
        assert connection.close_code == 1009


def test_the_walk_of_handshakes(node: RunningNode, http: httpx.Client, title: str) -> None:
    """Every role, nobody, and a page of another site: as the table of docs/security.md says."""
    expected = expected_access()
    place = node.service.url.replace("http://", "ws://") + f"/ws/subscribers/{title}"
    with ExitStack() as stack:
        for role in Role:
            key = stack.enter_context(passing_key(role, label="walk"))
            may = bool(expected[Action.READ_WORKLIST, role])
            assert handshake(place, {"Authorization": f"Bearer {key}"}) == (101 if may else 403)
    mine = {"Authorization": f"Bearer {node.service.key}"}
    assert handshake(place, {}) == 401
    assert handshake(place, {"Authorization": "Bearer zz_0_0"}) == 401
    assert handshake(place, mine | {"Origin": "https://evil.example"}) == 403
    assert handshake(place + "-which-is-too-long", mine) == 400
    assert handshake(place.replace("/ws/", "/wss/"), mine) == 404
    # There are WebSockets at no other path.
    assert handshake(place.partition("/ws/")[0] + "/v1/users", mine) == 404
    plain = http.get(f"/ws/subscribers/{title}")
    assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")


def handshake(place: str, headers: dict[str, str]) -> int:
    """The status that answers it; a refusal is a problem document."""
    response = None
    try:
        with connect(place, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as refused:
        response = refused.response
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["status"] == response.status_code
    return response.status_code


def test_another_institution_hears_nothing(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    engine = open_engine(database_url())
    add_institution(
        engine, title.lower(), name="x", name_zh="x", tier=Tier.PRIMARY, now=datetime.now(UTC)
    )
    engine.dispose()
    uid = create(http)
    with passing_key(Role.SYSTEM, label="other", institution=title.lower()) as key:
        others = httpx.Client(
            base_url=node.service.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
        with others, listening(node.service, title, key) as connection:
            subscribe(others, GLOBAL, title, deletionlock="true")
            path = f"/dicom-web/workitems/{uid}/subscribers/{title}"
            assert others.post(path).status_code == 404
            subscribe(http, uid, title)
            change_state(http, uid, "IN PROGRESS", str(generate_uid()))
            assert heard(connection, 0) == []


def test_a_revoked_key_ends_its_connection_and_both_are_on_record(
    node: RunningNode, title: str
) -> None:
    with ExitStack() as stack:
        with passing_key(Role.SYSTEM, label="leaves") as key:
            connection = stack.enter_context(listening(node.service, title, key))
        with pytest.raises(ConnectionClosed):
            connection.recv(20)
        assert connection.close_code == 1008
    exported = CliRunner().invoke(app, ["audit", "export", "--format", "json"]).stdout
    events = [json.loads(line) for line in exported.splitlines()]
    operation = "GET:/ws/subscribers/:subscriber"
    mine = [each for each in events if each["operation"] == operation]
    found = [(each["outcome"], each.get("reason")) for each in mine if id_of(key) in each["actor"]]
    assert found[0] == ("allowed", None)
    assert ("denied", "credential_refused") in found
    assert not any(title in str(each) for each in mine)


def test_processes_that_share_the_records_tell_each_others_news(
    node: RunningNode, http: httpx.Client, title: str
) -> None:
    uid = create(http)
    subscribe(http, uid, title)
    with (
        (node.home / "second.log").open("wb") as log,
        attached_service(settings={"ZHUZHEN_NODE": "none"}, log=log.fileno()) as second,
        httpx.Client(base_url=second.url, headers=second.headers, trust_env=False) as other,
    ):
        with listening(second, title) as connection:
            # What waited, and that a process of the service was started anew.
            assert [told(each) for each in heard(connection, 2)] == [(1, "SCHEDULED"), (4, "")]
            change_state(http, uid, "IN PROGRESS", mine := str(generate_uid()))
            assert [told(each) for each in heard(connection, 1)] == [(1, "IN PROGRESS")]
            # The newest connection is the one to listen on, in whichever process.
            with listening(node.service, title) as newer:
                with pytest.raises(ConnectionClosed):
                    connection.recv(20)
                assert connection.close_code == 4000
                change_state(other, uid, "COMPLETED", mine)
                assert [told(each) for each in heard(newer, 1)] == [(1, "COMPLETED")]
        last = connect(
            second.url.replace("http:", "ws:") + f"/ws/subscribers/{title}",
            additional_headers=second.headers,
            proxy=None,
        )
    with last, pytest.raises(ConnectionClosed):
        last.recv(20)
    assert last.close_code == 1012
    assert b"Traceback" not in (node.home / "second.log").read_bytes()
