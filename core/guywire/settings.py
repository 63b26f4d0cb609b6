"""The application's settings: typed, with defaults, read from a paste ini and three environment variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite, nan
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from guywire.interfaces import JSONObject

_BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps")
_FOLDER = re.compile(r"(/[A-Za-z0-9._-]+)+", re.ASCII)


class SettingInvalid(Exception):
    """A setting that cannot be used. The text names the ini key and says what is expected."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many times in so many seconds."""

    count: int
    seconds: int


@dataclass(frozen=True)
class Settings:
    """Every setting of the core. The ini key of ``name`` is ``guywire.name`` unless it says otherwise below."""

    sqlalchemy_url: str = "sqlite:///var/guywire.sqlite"
    """Database URL (ini key ``sqlalchemy.url``; environment ``GUYWIRE_SQLALCHEMY_URL``)."""
    data_dir: Path = Path("var")
    """Folder of the key ring and of an SQLite database (environment ``GUYWIRE_DATA_DIR``)."""
    http_host: str = "127.0.0.1"
    http_port: int = 6543
    """Where ``guywire serve`` listens (environment ``GUYWIRE_HTTP_PORT``)."""
    production: bool = False
    """Refuse to start without a key ring instead of making one."""
    plugins_blocked: frozenset[str] = frozenset()
    """Names of plugins not to load (ini key ``guywire.plugins.blocked``)."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    context: JSONObject = field(default_factory=dict)
    """Configuration variables of every device and template (a JSON object)."""
    default_backend: str = "netjsonconfig.OpenWrt"
    cert_path: str = "/etc/x509"
    """Folder of certificates and keys on devices."""
    common_name_format: str = "{mac_address}-{name}"
    """Common name of the certificate that a device gets as a client of a VPN server; ``{id}`` is the device's too.
    Eight random characters follow."""
    device_group_schema: JSONObject = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema (draft 4) of the meta data of device groups."""
    registration_enabled: bool = True
    consistent_registration: bool = True
    """Devices keep the key that they derive from their MAC address and the shared secret."""
    registration_self_creation: bool = True
    """A registration may create a device that the operator did not create before."""
    shared_management_ip_space: bool = True
    """A management address belongs to one device of all organizations, not one in each."""
    management_ip_only: bool = True
    """Devices are connected to at their management address only, not at the one that they last called from."""
    job_runner: str = "worker"
    """Who runs background jobs: ``worker`` (``guywire worker``) or ``celery``."""
    celery_broker: str = ""
    """The broker of Celery: ``redis://host:port/number`` or ``amqp://user:password@host:port//``."""
    job_lease: float = 15.0
    """Seconds after which the jobs of a worker that is not heard of any more are given to another."""
    job_retention: int = 7 * 24 * 3600
    """Seconds for which jobs that failed, were cancelled or have shown their progress are kept after their end."""
    page_size: int = 10
    max_page_size: int = 100
    max_body_size: int = 10 * 1024 * 1024
    """Largest request body in bytes; more is answered with 413."""
    busy_timeout: float = 2.0
    """Seconds to wait for a database lock before answering 503."""
    session_lifetime: int = 14 * 24 * 3600
    """Seconds after which a browser has to log in again."""
    login_rate: Rate | None = Rate(10, 60)
    """How often somebody may try a wrong password or token (``10/minute``; ``off``: as often as they like)."""
    password_reset_lifetime: int = 24 * 3600
    """Seconds for which the link of a password reset serves."""
    password_expiration_days: int = 0
    staff_password_expiration_days: int = 0
    """Days for which a password serves before another one has to be set; 0: for ever. The second one is for staff:
    users with ``is_staff``, and superusers."""
    secret_grace_period: int = 7 * 24 * 3600
    """Seconds for which the shared secret before the last rotation still registers devices."""
    smtp_url: str = ""
    """Where mail is handed in: ``smtp://user:password@host:port``, ``smtps://`` for TLS. "": mail goes to the log."""
    mail_from: str = "guywire@localhost"
    """The sender of mail."""
    public_url: str = ""
    """The address by which users know this server, for links in mail. "": that of ``http_host`` and ``http_port``. (Not
    that of a request: whoever sends one says what stands there.)"""
    log_format: str = "console"
    """``console`` for people, ``json`` for machines."""
    log_level: str = "INFO"
    of_plugins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What the ini says of plugins, as text: ``guywire.lamp.colour = red`` is ``{"lamp": {"colour": "red"}}``. Each
    plugin reads its own (see ``of_plugin``), and refuses what it does not understand with SettingInvalid."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the keys of a paste section. Raises SettingInvalid and names the key."""
        environ = os.environ if environ is None else environ
        known = {_ini_key(f.name): f for f in fields(cls) if f.name != "of_plugins"}
        of_plugins: dict[str, dict[str, str]] = {}
        given: dict[str, Any] = {"of_plugins": of_plugins}
        for key, text in values.items():
            if key in known:
                given[known[key].name] = _read(key, text, known[key].type)
            elif key.startswith("guywire.") and "." not in key.removeprefix("guywire."):
                guess = get_close_matches(key, known, n=1)
                raise SettingInvalid(f"{key}: no such setting" + (f"; did you mean {guess[0]}?" if guess else ""))
            elif key.startswith("guywire."):
                _, plugin, name = key.split(".", 2)
                of_plugins.setdefault(plugin, {})[name] = text.strip()
        if url := environ.get("GUYWIRE_SQLALCHEMY_URL"):
            given["sqlalchemy_url"] = url
        if folder := environ.get("GUYWIRE_DATA_DIR"):
            given["data_dir"] = Path(folder)
            # The embedded database lives in the data directory unless somebody says otherwise.
            if "GUYWIRE_SQLALCHEMY_URL" not in environ and _is_sqlite_file(given.get("sqlalchemy_url", "")):
                given["sqlalchemy_url"] = f"sqlite:///{Path(folder).absolute() / 'guywire.sqlite'}"
        if port := environ.get("GUYWIRE_HTTP_PORT"):
            given["http_port"] = _integer("GUYWIRE_HTTP_PORT", port)
        settings = cls(**given)
        _check_common_name_format(settings.common_name_format)
        if not _FOLDER.fullmatch(settings.cert_path):
            raise SettingInvalid(
                f"guywire.cert_path: {settings.cert_path!r} is not an absolute path of plain characters"
            )
        if settings.smtp_url and not _is_smtp_url(settings.smtp_url):
            # Not quoted: there may be a password in it.
            raise SettingInvalid("guywire.smtp_url: not of the form smtp://user:password@host:port (or smtps://)")
        _check_job_runner(settings)
        if settings.log_format not in ("console", "json"):
            raise SettingInvalid(f"guywire.log_format: {settings.log_format!r} is neither 'console' nor 'json'")
        return settings


T = TypeVar("T")


def of_plugin(settings: Settings, plugin: str, kind: type[T]) -> T:
    """What the ini says of a plugin, as ``kind``: a dataclass whose annotations are among those of ``Settings``, and
    are texts (``from __future__ import annotations``). Raises SettingInvalid and names the key.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for name, text in settings.of_plugins.get(plugin, {}).items():
        key = f"guywire.{plugin}.{name}"
        if name not in known:
            guess = get_close_matches(name, known, n=1)
            raise SettingInvalid(
                f"{key}: no such setting" + (f"; did you mean guywire.{plugin}.{guess[0]}?" if guess else "")
            )
        given[name] = _read(key, text, known[name].type)
    return kind(**given)


def _read(key: str, text: str, type: Any) -> Any:
    return _READERS.get(str(type), _text)(key, text)


def _check_job_runner(settings: Settings) -> None:
    if settings.job_runner not in ("worker", "celery"):
        raise SettingInvalid(f"guywire.job_runner: {settings.job_runner!r} is neither 'worker' nor 'celery'")
    if settings.job_runner == "celery" and urlsplit(settings.celery_broker).scheme not in _BROKERS:
        # Not quoted: there may be a password in it.
        raise SettingInvalid(
            "guywire.celery_broker: guywire.job_runner = celery needs one of the form redis://… or amqp://…"
        )
    if settings.job_lease < 1:
        raise SettingInvalid("guywire.job_lease: less than a second is too little")


def _check_common_name_format(text: str) -> None:
    try:
        made = text.format(id="", mac_address="00:00:00:00:00:00", name="name")
    except (KeyError, IndexError, ValueError, AttributeError):
        made = ""
    if not made.strip():
        raise SettingInvalid(
            f"guywire.common_name_format: {text!r} is not made of {{mac_address}}, {{name}}, {{id}} and plain text"
        )


def _ini_key(name: str) -> str:
    return {"sqlalchemy_url": "sqlalchemy.url", "plugins_blocked": "guywire.plugins.blocked"}.get(
        name, f"guywire.{name}"
    )


def _is_sqlite_file(url: str) -> bool:
    return not url or (url.startswith("sqlite:///") and ":memory:" not in url)


def _is_smtp_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("smtp", "smtps") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _text(key: str, text: str) -> str:
    return text.strip()


def _integer(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingInvalid(f"{key}: {text!r} is not a whole number") from None


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise SettingInvalid(f"{key}: {text!r} is not a number")
    return value


def _boolean(key: str, text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("true", "yes", "on", "1"):
        return True
    if lowered in ("false", "no", "off", "0"):
        return False
    raise SettingInvalid(f"{key}: {text!r} is neither true nor false")


def _names(key: str, text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _networks(key: str, text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise SettingInvalid(f"{key}: {error}") from None


def _json_object(key: str, text: str) -> JSONObject:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise SettingInvalid(f"{key}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise SettingInvalid(f"{key}: not a JSON object")
    return value


_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"([0-9]{1,9})(?:\s*/\s*([a-z]+?)s?)?")


def _rate(key: str, text: str) -> Rate | None:
    lowered = text.strip().lower()
    if lowered in ("", "off", "none", "false", "no"):
        return None
    match = _RATE.fullmatch(lowered)
    units = [seconds for unit, seconds in _SECONDS.items() if match and unit.startswith(match[2] or "minute")]
    if match is None or not units:
        raise SettingInvalid(f"{key}: {text!r} is neither a rate such as 10/minute nor off")
    return Rate(int(match[1]), units[0]) if int(match[1]) else None


# The annotations are strings here (``from __future__ import annotations``), which makes them usable as keys.
_READERS: dict[str, Any] = {
    "bool": _boolean,
    "int": _integer,
    "float": _number,
    "Path": lambda key, text: Path(text),
    "frozenset[str]": _names,
    "tuple[IPv4Network | IPv6Network, ...]": _networks,
    "JSONObject": _json_object,
    "Rate | None": _rate,
}
