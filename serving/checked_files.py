"""The files that administrators write, as `zhuzhen doctor` looks at them: who calls, who sends."""

import base64
import binascii
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from models.errors import ZhuzhenError
from models.findings import Text
from serving.check import Check, State
from serving.destinations.entries import destination_of
from serving.fetching.entries import origin_of
from serving.identity.cds_clients import ENVIRONMENT, FILE, CdsClient, read_cds_clients
from serving.names import LOCAL_HOSTS
from serving.peers import PeerSettingError, WebServer, peer_of
from serving.routing import Node, read_node
from serving.routing.node_file import FILE as NODE_FILE

_SOON = timedelta(days=30)
_HERE = (*LOCAL_HOSTS, "::1")


def cds_clients(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    """Look at `cds-clients.yaml`, where there is one."""
    named = environment.get(ENVIRONMENT)
    path = Path(named) if named else home / FILE
    if not named and not path.exists():
        return
    yield from _as_checks("cds_clients", _faults_of_clients(path, home, environment))


def node_file(home: Path, _: Mapping[str, str]) -> Iterator[Check]:
    """Look at `node.yaml`, where there is one."""
    path = home / NODE_FILE
    if path.exists():
        yield from _as_checks("node", _faults_of_node(path, home))


Fault = tuple[State, Text]


def _as_checks(name: str, faults: Iterator[Fault]) -> Iterator[Check]:
    found = list(faults)
    for state, told in found:
        yield Check(name, state, told)
    if not found:
        yield Check(name, State.OK, _IN_ORDER)


_IN_ORDER = Text("The file can be used, and nothing in it is unsafe.", "文件可用，未发现安全问题。")


def _faults_of_clients(path: Path, home: Path, environment: Mapping[str, str]) -> Iterator[Fault]:
    yield from _faults_of_mode(path)
    try:
        clients = read_cds_clients(environment, home)
    except (ZhuzhenError, OSError, UnicodeDecodeError) as error:
        yield _unusable(path, error)
        return
    for client in clients.by_issuer.values():
        yield from _faults_of_keys(client)


def _faults_of_node(path: Path, home: Path) -> Iterator[Fault]:
    yield from _faults_of_mode(path)
    try:
        node = read_node(path)
        if node.listener.tls is not None:
            node.listener.tls.context()
    except (ZhuzhenError, OSError, UnicodeDecodeError) as error:
        yield _unusable(path, error)
        return
    if node.listener.tls is None and node.listener.host not in _HERE and node.listener.callers:
        told = Text(
            f"{path.name}: images come to {node.listener.host} without TLS; whoever is on the way "
            "can read them, and call itself what it likes. Set tls with client_authorities, or "
            "keep this network closed.",
            f"{path.name}：影像以未加密方式发往 {node.listener.host}，途经者可读取并冒充来源。"
            "请设置 tls 及 client_authorities，或确保该网络封闭。",
        )
        yield State.WARNING, told
    for place, address, entry in _peers(node):
        yield from _faults_of_peer(path.name, place, address, entry, home)
    yield from _unknown_in(node, home)


def _peers(node: Node) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, entry in node.destinations.items():
        if not str(entry["to"]).startswith("folder:"):
            yield f"destination {name}", str(entry["to"]), entry
    for source in node.sources:
        if source.fetch is not None:
            yield f"fetch of source {source.name}", str(source.fetch.get("from", "")), source.fetch


def _faults_of_peer(
    file: str, place: str, address: str, entry: Mapping[str, Any], home: Path
) -> Iterator[Fault]:
    """Say what is sent to another machine in clear; what cannot be read is told elsewhere."""
    try:
        peer = peer_of(address, entry, home)
    except PeerSettingError:
        return
    if isinstance(peer, WebServer):
        host = peer.url.partition("//")[2].partition("/")[0]
        host = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        is_open, has_secret = peer.url.startswith("http://"), bool(peer.headers)
    else:
        host, is_open, has_secret = peer.host, peer.tls is None, False
    if not is_open or host.strip("[]") in _HERE:
        return
    if has_secret:
        told = Text(
            f"{file}: {place} sends its credential to {host} without TLS; it is everybody's who is "
            "on the way. Use https, and change the credential.",
            f"{file}：{place} 以未加密方式向 {host} 发送凭证，途经者可获取。"
            "请改用 https 并更换凭证。",
        )
        yield State.ERROR, told
        return
    told = Text(
        f"{file}: {place} exchanges patients' images with {host} without TLS. Set `tls: true` (or "
        "https), or keep the network between closed.",
        f"{file}：{place} 与 {host} 之间的患者影像未加密传输。请设置 `tls: true`（或 https），"
        "或确保网络封闭。",
    )
    yield State.WARNING, told


def _unknown_in(node: Node, home: Path) -> Iterator[Fault]:
    """Say of each entry what the node would refuse when it starts."""
    for entry in node.destinations.values():
        try:
            destination_of(entry, home)
        except (ZhuzhenError, OSError) as error:
            yield State.ERROR, _told(f"{NODE_FILE}: ", error)
    for source in node.sources:
        try:
            if source.fetch is not None:
                origin_of(source, node, home)
        except (ZhuzhenError, OSError) as error:
            yield State.ERROR, _told(f"{NODE_FILE}: ", error)


def _faults_of_mode(path: Path) -> Iterator[Fault]:
    if path.exists() and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        told = Text(
            f"Other users of this machine can write {path.name}, which says who is let in and "
            "where images go: chmod go-w it, and look at what it says.",
            f"本机其他用户可修改 {path.name}，该文件决定访问来源与影像去向："
            "请执行 chmod go-w 并核对内容。",
        )
        yield State.ERROR, told


def _unusable(path: Path, error: Exception) -> Fault:
    if isinstance(error, ZhuzhenError):
        return State.ERROR, _told("", error)
    return State.ERROR, Text(
        f"{path.name} cannot be read ({type(error).__name__}); expected a text file in UTF-8 that "
        "this user may read.",
        f"无法读取 {path.name}（{type(error).__name__}）；应为当前用户可读的 UTF-8 文本文件。",
    )


def _told(where: str, error: Exception) -> Text:
    told = str(error) if isinstance(error, ZhuzhenError) else type(error).__name__
    return Text(f"{where}{told}", f"{where}配置有误：{told}")


def _faults_of_keys(client: CdsClient) -> Iterator[Fault]:
    for key in client.keys:
        ends = _end_of(key)
        name = f"{client.name}, {key['kid']}"
        if ends is None:
            continue
        left = ends - datetime.now(UTC)
        if left < timedelta():
            told = Text(
                f"The key {name} ended on {ends:%Y-%m-%d}: have the record system hand over a new "
                "one, or take it off the list.",
                f"密钥 {name} 已于 {ends:%Y-%m-%d} 过期：请向业务系统索取新密钥，或将其移除。",
            )
            yield State.ERROR, told
        elif left < _SOON:
            told = Text(
                f"The key {name} ends in {left.days} days: have the record system hand over a new "
                "one.",
                f"密钥 {name} 将于 {left.days} 天后过期：请向业务系统索取新密钥。",
            )
            yield State.WARNING, told


def _end_of(key: Mapping[str, Any]) -> datetime | None:
    """Return when a key ends: by `exp` (a NumericDate), or its certificate (`x5c`, RFC 7517 4.7);
    None where neither says."""
    written = key.get("exp")
    if isinstance(written, int | float):
        return datetime.fromtimestamp(written, UTC)
    chain = key.get("x5c")
    if not isinstance(chain, list) or not chain:
        return None
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0])).not_valid_after_utc
    except (ValueError, TypeError, binascii.Error):
        return None
