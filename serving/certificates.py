"""The certificate that the service shows its clients, as `zhuzhen doctor` looks at it."""

import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from models.errors import ZhuzhenError
from models.findings import Text
from serving.listening import CERTIFICATE, KEY, Protection

_SOON = timedelta(days=30)


def faults_of_certificate(
    environment: Mapping[str, str], names: Sequence[str], now: datetime | None = None
) -> tuple[list[Text], list[Text]]:
    """Return what is wrong with the certificate that the settings name, and what soon will be.

    Args:
        environment: names certificate and key (`ZHUZHEN_TLS_CERTIFICATE`, `ZHUZHEN_TLS_KEY`).
        names: host names that the service answers under to other machines.
        now: moment of the look.
    """
    named, key = environment.get(CERTIFICATE), environment.get(KEY)
    try:
        Protection(Path(named) if named else None, Path(key) if key else None)
    except ZhuzhenError as error:
        return [Text(str(error), f"TLS 证书或私钥不可用：{error}")], []
    if not named or not key:
        return [], []
    wrong = []
    if Path(key).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        wrong.append(
            Text(
                "Other users can read the TLS key: chmod 600 it, and have the certificate renewed "
                "with a new key.",
                "其他用户可读取 TLS 私钥：请 chmod 600，并用新私钥重新签发证书。",
            )
        )
    certificate = x509.load_pem_x509_certificate(Path(named).read_bytes())
    missing = [name for name in names if not _covers(certificate, name)]
    if missing:
        wrong.append(
            Text(
                f"The TLS certificate is not for {', '.join(missing)}: clients will refuse it.",
                f"TLS 证书不包含主机名 {'、'.join(missing)}，客户端将拒绝连接。",
            )
        )
    expired, soon = _faults_of_time(certificate, now or datetime.now(UTC))
    return wrong + expired, soon


def _faults_of_time(certificate: x509.Certificate, now: datetime) -> tuple[list[Text], list[Text]]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now <= ends:
        return [
            Text(
                f"The TLS certificate is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, not "
                "today: have it renewed, or see to this machine's clock.",
                f"TLS 证书有效期为 {begins:%Y-%m-%d} 至 {ends:%Y-%m-%d}，"
                "当前无效，请更新证书或校准时钟。",
            )
        ], []
    if ends - now < _SOON:
        return [], [
            Text(
                f"The TLS certificate ends in {(ends - now).days} days: have it renewed.",
                f"TLS 证书将于 {(ends - now).days} 天后过期，请尽快更新。",
            )
        ]
    return [], []


def _covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether clients take the certificate for `name` (RFC 9525: alternative names alone)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ip_address(name) in found.get_values_for_type(x509.IPAddress)
    except ValueError:
        hosts = [host.lower() for host in found.get_values_for_type(x509.DNSName)]
    return name in hosts or f"*.{name.partition('.')[2]}" in hosts
