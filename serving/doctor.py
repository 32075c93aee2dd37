"""What `zhuzhen doctor` looks at: is this installation set up so that it keeps what it promises?

Each check says what it found, whether that is right, and what to do, in both languages. It changes
nothing and shows no secret.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from models.errors import ZhuzhenError
from models.findings import Text
from serving.audit.anchor import Anchor
from serving.audit.opening import ANCHOR, anchor_path, audit_url
from serving.audit.tables import has_schema, missing_triggers
from serving.certificates import faults_of_certificate
from serving.check import Check, Look, State
from serving.checked_files import cds_clients, node_file
from serving.cross_origin import CrossOrigin
from serving.identity.tokens import Provider
from serving.jobs.examining import deliveries
from serving.listening import CERTIFICATE, KEY
from serving.names import Names
from serving.privacy import Keyring
from serving.privacy.master_keys import (
    ENVIRONMENT,
    FILE,
    PROVIDER,
    default_key_file,
    load_master_keys,
)
from serving.records import database_url, open_engine
from serving.settings import Settings

_LEAST_FREE_BYTES = 5 * 1024**3
_OLD_KEY = timedelta(days=366)
_Found = TypeVar("_Found")
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


def examine(home: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Look at the installation in `home`."""
    for look in _LOOKS:
        yield from _guarded(look, home, environment)


def _guarded(look: Look, home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    try:
        yield from look(home, environment)
    except (ZhuzhenError, OSError, SQLAlchemyError, ValueError) as error:
        # Messages of drivers may hold addresses with passwords; those of this project do not.
        told = str(error) if isinstance(error, ZhuzhenError) else type(error).__name__
        name = getattr(look, "__name__", "check").lstrip("_")
        yield Check(name, State.ERROR, Text(told, f"检查失败：{told}"))


def _home(home: Path, _: Mapping[str, str]) -> Iterator[Check]:
    if not home.exists():
        yield Check(
            "home",
            State.WARNING,
            Text(
                "ZHUZHEN_HOME does not exist yet; the first start makes it.",
                "ZHUZHEN_HOME 尚不存在，首次启动时会创建。",
            ),
        )
        return
    if home.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        yield Check(
            "home",
            State.WARNING,
            Text(
                "Other users of this machine can look into ZHUZHEN_HOME: chmod 700 it.",
                "本机其他用户可访问 ZHUZHEN_HOME，请执行 chmod 700。",
            ),
        )
        return
    yield Check("home", State.OK, Text("ZHUZHEN_HOME is closed to others.", "数据目录权限正确。"))


def _master_key(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    source = next((name for name in (PROVIDER, ENVIRONMENT, FILE) if environment.get(name)), None)
    if source is None:
        yield Check(
            "master_key",
            State.WARNING,
            Text(
                "The master key lies beside the data that it protects: whoever copies the folder "
                f"can open everything. Move it into {FILE} on other storage, or a KMS.",
                f"主密钥与数据存放在一起，复制该目录即可解密。请用 {FILE} 将其移至别处或 KMS。",
            ),
        )
    else:
        yield Check(
            "master_key",
            State.OK,
            Text(f"The master key comes from {source}.", f"主密钥来自 {source}。"),
        )
    named = environment.get(FILE)
    path = Path(named) if named else default_key_file(home)
    if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Check(
            "master_key_file",
            State.ERROR,
            Text(
                "Other users can read the master key's file: chmod 600 it, and make a new key "
                "(zhuzhen encryption rewrap).",
                "其他用户可读取主密钥文件：请 chmod 600 并更换主密钥。",
            ),
        )


def _keyring(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    path = home / "keys" / "keyring.json"
    if not path.exists():
        yield Check(
            "keyring",
            State.WARNING,
            Text(
                "There are no keys yet; the first start makes them.", "尚无密钥，首次启动时生成。"
            ),
        )
        return
    keyring = Keyring(path, load_master_keys(home, environment, create=False))
    age = datetime.now(UTC) - keyring.active_since()
    if age > _OLD_KEY:
        yield Check(
            "keyring",
            State.WARNING,
            Text(
                f"The data key is {age.days} days old: zhuzhen encryption rotate makes a new one "
                "while the service runs.",
                f"数据密钥已使用 {age.days} 天：zhuzhen encryption rotate 可不停机轮换。",
            ),
        )
    else:
        yield Check("keyring", State.OK, Text("The keyring opens.", "密钥环可正常打开。"))


_NOT_ENCRYPTED = Text(
    "The connection to PostgreSQL is not encrypted for certain: add ?sslmode=verify-full to "
    "ZHUZHEN_DATABASE_URL.",
    "与 PostgreSQL 的连接未强制加密：请在地址后加 ?sslmode=verify-full。",
)


def _database(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    url = database_url(environment, home)
    parsed = make_url(url)
    remote = parsed.get_backend_name() == "postgresql" and (parsed.host or "") not in _LOCAL
    mode = parsed.query.get("sslmode")
    if remote and mode not in ("require", "verify-ca", "verify-full"):
        yield Check("database", State.ERROR, _NOT_ENCRYPTED)
        return
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        yield Check(
            "database",
            State.WARNING,
            Text("There are no records yet.", "尚无数据库，首次启动时创建。"),
        )
        return
    engine = open_engine(url)
    try:
        engine.connect().close()
    finally:
        engine.dispose()
    if remote and mode != "verify-full":
        yield Check(
            "database",
            State.WARNING,
            Text(
                f"The connection to PostgreSQL is encrypted, but sslmode={mode} does not hold the "
                "server's certificate against its name: whoever is on the way may be the server. "
                "Use sslmode=verify-full, and sslrootcert for a certificate authority of your own.",
                f"与 PostgreSQL 的连接已加密，但 sslmode={mode} 不核对服务器证书与名称，"
                "途经者可冒充服务器。请改用 sslmode=verify-full，自建证书机构请设置 sslrootcert。",
            ),
        )
        return
    yield Check("database", State.OK, Text("The database answers.", "数据库连接正常。"))


def _audit(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    url = audit_url(database_url(environment, home))
    if (
        make_url(url).get_backend_name() == "sqlite"
        and not Path(make_url(url).database or "").exists()
    ):
        return

    def look(connection: Connection) -> list[str]:
        missing = missing_triggers(connection)
        Anchor(anchor_path(environment)).require_part_of(connection)
        return missing

    missing = _found_in_audit(url, look)
    if missing is None:
        return
    if missing:
        yield Check(
            "audit",
            State.ERROR,
            Text(
                f"{len(missing)} guards of the audit record are missing: run zhuzhen audit verify.",
                f"审计记录缺少 {len(missing)} 个防篡改触发器，请运行 zhuzhen audit verify。",
            ),
        )
        return
    yield Check(
        "audit",
        State.OK,
        Text(
            "The audit record is guarded and goes on from its anchor; zhuzhen audit verify checks "
            "all of it.",
            "审计记录的防护完好；完整校验请运行 zhuzhen audit verify。",
        ),
    )


def _found_in_audit(url: str, look: Callable[[Connection], _Found]) -> _Found | None:
    """Return what `look` finds in the audit record at `url`, None where there is none yet."""
    engine = open_engine(url)
    try:
        if not has_schema(engine):
            return None
        with engine.connect() as connection:
            return look(connection)
    finally:
        engine.dispose()


_MAY_CHANGE = """SELECT pg_has_role(current_user, relowner, 'USAGE')
OR has_table_privilege(current_user, oid, 'UPDATE, DELETE, TRUNCATE')
FROM pg_class WHERE oid = 'audit_events'::regclass"""


def _audit_role(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    """On PostgreSQL, whether who serves could also take the record's guards away."""
    url = audit_url(database_url(environment, home))
    if make_url(url).get_backend_name() != "postgresql":
        return
    if _found_in_audit(url, lambda connection: connection.execute(text(_MAY_CHANGE)).scalar_one()):
        told = Text(
            "The database role of the service may change events of the audit record, or drop what "
            "refuses that. Serve as a role that owns no table and may SELECT and INSERT there; "
            "docs/audit.md has the statements.",
            "服务所用数据库角色可修改审计记录或删除其防护。请改用不拥有任何表、"
            "对审计表仅有 SELECT 与 INSERT 权限的角色，语句见 docs/audit.md。",
        )
        yield Check("audit_role", State.WARNING, told)
        return
    told = Text(
        "The database role of the service can add to the audit record and change nothing of it.",
        "服务所用数据库角色只能追加审计记录，无法修改。",
    )
    yield Check("audit_role", State.OK, told)


def _settings(_: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    """Read what keeps the service from starting where it is wrong.

    Raises:
        ZhuzhenError: saying which setting is.
    """
    Settings.from_environment(environment)
    CrossOrigin.from_environment(environment)
    Provider.from_environment(environment)
    yield Check("settings", State.OK, Text("The settings can be used.", "各项设置有效。"))


def _anchor(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    if environment.get(ANCHOR):
        yield Check("anchor", State.OK, Text("The anchor is kept apart.", "审计锚点单独存放。"))
        return
    yield Check(
        "anchor",
        State.WARNING,
        Text(
            f"The audit record's anchor lies beside the record: name a place on storage of another "
            f"owner in {ANCHOR}.",
            f"审计锚点与审计记录存放在一起，请用 {ANCHOR} 指定由他人管理的存储位置。",
        ),
    )


def _tls(_: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    names = Names.from_environment(environment).others
    wrong, soon = faults_of_certificate(environment, names)
    yield from (Check("tls", State.ERROR, fault) for fault in wrong)
    yield from (Check("tls", State.WARNING, fault) for fault in soon)
    if wrong or soon:
        return
    if environment.get(CERTIFICATE):
        told = Text(
            "The TLS certificate is valid and its key closed.", "TLS 证书有效，私钥权限正确。"
        )
    else:
        told = Text(
            f"No TLS certificate is named ({CERTIFICATE}, {KEY}): the service answers this machine "
            "alone, or others through a reverse proxy.",
            f"未设置 TLS 证书（{CERTIFICATE}、{KEY}）：服务仅应答本机，或经反向代理对外。",
        )
    yield Check("tls", State.OK, told)


def _disk(home: Path, _: Mapping[str, str]) -> Iterator[Check]:
    place = next(folder for folder in (home, *home.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    gib = free / 1024**3
    if free < _LEAST_FREE_BYTES:
        yield Check(
            "disk",
            State.ERROR,
            Text(
                f"{gib:.1f} GiB are free; expected 5 or more. Where nothing can be recorded, "
                "nothing is answered.",
                f"剩余空间 {gib:.1f} GiB，应不少于 5 GiB；无法写入审计记录时服务将拒绝请求。",
            ),
        )
        return
    yield Check("disk", State.OK, Text(f"{gib:.0f} GiB are free.", f"剩余空间 {gib:.0f} GiB。"))


def _programs(home: Path, environment: Mapping[str, str]) -> Iterator[Check]:
    if not database_url(environment, home).startswith("postgresql"):
        return
    missing = [name for name in ("pg_dump", "pg_restore") if shutil.which(name) is None]
    if missing:
        yield Check(
            "backup",
            State.WARNING,
            Text(
                f"zhuzhen backup needs {' and '.join(missing)} (package postgresql-client).",
                f"zhuzhen backup 需要 {'、'.join(missing)}（软件包 postgresql-client）。",
            ),
        )


_LOOKS: tuple[Look, ...] = (
    *(_home, _settings, _master_key, _keyring, _database, _audit, _audit_role, _anchor),
    *(_tls, _disk, _programs),
    *(node_file, cds_clients, deliveries),
)
