"""The configuration: one TOML file, every key also an environment variable `MDMSERVER_<SECTION>_<KEY>`, flags win.

Loading checks everything that can be checked without opening a port or a database; every complaint names the key.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from mdmserver.errors import Invalid

Proof = Literal["signature", "mtls", "header", "mtls+signature", "header+signature"]
"""How a device may prove its certificate on a listener; "a+b" means both."""

KIB, MIB = 1024, 1024 * 1024
MAXIMUM_DESTRUCTIVE_HOURS = 30 * 24


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every section refuses keys it does not know, so that a typing error is not a silent default."""


class Server(Section, frozen=True):
    """`url` is the public name that devices are enrolled with; it cannot be changed for devices that are enrolled."""

    url: str = "http://127.0.0.1:8080"


class Database(Section, frozen=True):
    """`sqlite` keeps the database in the state directory."""

    url: str = "sqlite"


class Listen(Section, frozen=True):
    """Addresses `host:port`, port 0 for any free one; an empty string switches a listener off."""

    https: str = ""
    mtls: str = ""
    http: str = "127.0.0.1:8080"
    operations: str = "127.0.0.1:9090"


class TLS(Section, frozen=True):
    """PEM files of the server's certificate (with its chain) and key, for the `https` and `mtls` listeners."""

    certificate: str = ""
    key: str = ""
    own_ca: bool = False
    """For trials: the built-in CA issues the certificate, and enrollment profiles bring that CA."""


class Identity(Section, frozen=True):
    """Which proofs of identity each listener believes, in order of preference; what is not listed is not believed."""

    https: tuple[Proof, ...] = ("signature",)
    mtls: tuple[Proof, ...] = ("mtls",)
    http: tuple[Proof, ...] = ("signature",)
    proxy_header: str = "X-Client-Certificate"
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (CIDR) whose certificate header and X-Forwarded-For are believed."""
    expired_identity: Literal["renew", "refuse"] = "renew"


class DeviceCA(Section, frozen=True):
    """A CA whose certificates devices hold: a PEM file with its root and intermediates."""

    name: str
    certificates: str
    reenrollment: Literal["allow", "ask"] = "ask"


class CA(Section, frozen=True):
    """The built-in CA. Challenges are secrets for one certificate each."""

    certificate_days: int = 365
    challenge_minutes: int = 60
    allow_des: bool = False
    """Read requests encrypted with single DES, which some old SCEP clients send; never answered in DES."""
    allow_rsa_1024: bool = False
    renewals_per_minute: int = 60


class Enrollment(Section, frozen=True):
    """What people see when they enroll. `topic` is the push certificate's; empty until there is one."""

    organization: str = ""
    display_name: str = "Device management"
    topic: str = ""


class Device(Section, frozen=True):
    """The device surface. With `checkin_path` equal to `command_path` both kinds of message come to one URL."""

    command_path: str = "/mdm"
    checkin_path: str = "/mdm"
    user_authenticate: Literal["decline", "zero_digest"] = "decline"


class APNs(Section, frozen=True):
    """Where Apple's push service is, and how much of it one process uses. Another host is for a stand-in."""

    host: str = "api.push.apple.com"
    port: int = 443
    ca_file: str = ""
    """PEM of the CA of a stand-in's certificate; Apple's is known to the system."""
    concurrency: int = 500
    """Pushes in flight."""
    pushes_per_second: float = 2500
    """At most; the pace adapts to how fast the devices that come are served."""


class Destructive(Section, frozen=True):
    """Commands that erase, lock, clear a passcode or end management. They need a scope of their own."""

    per_ten_minutes: int = 0
    """To how many devices in ten minutes; 0 for five or `cap_percent` of the enrolled ones, whichever is more."""
    cap_percent: float = 1
    ttl_hours: float = 24
    """How long one that was not delivered may live."""
    hold_minutes: float = 5
    """For how long one for several devices waits, so that it can be cancelled."""


class Limits(Section, frozen=True):
    """Sizes in bytes, times in seconds."""

    checkin_bytes: int = 1 * MIB
    checkin_data_bytes: int = 4 * MIB
    """Check-ins that carry data: declarative status reports."""
    result_bytes: int = 16 * MIB
    bodies_in_flight_bytes: int = 256 * MIB
    header_seconds: float = 10
    body_seconds: float = 30
    body_bytes_per_second: int = 1 * KIB
    connections: int = 10_000
    unauthenticated_per_address: int = 256
    keep_alive_seconds: float = 20


class Log(Section, frozen=True):
    """`json` writes one object a line, `text` is for a person at a terminal."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "text"] = "json"


class Config(Section, frozen=True):
    """Everything that can be configured."""

    server: Server = Server()
    database: Database = Database()
    listen: Listen = Listen()
    tls: TLS = TLS()
    identity: Identity = Identity()
    device: Device = Device()
    ca: CA = CA()
    enrollment: Enrollment = Enrollment()
    apns: APNs = APNs()
    destructive: Destructive = Destructive()
    limits: Limits = Limits()
    log: Log = Log()
    device_ca: tuple[DeviceCA, ...] = ()


def load_config(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, str] = {}) -> Config:
    """Read the file (None: defaults only), lay environment and flags (`section.key`) over it, and check it.

    Relative paths inside the file are taken from the file's folder. Raises Invalid naming the key at fault.
    """
    raw = _read(path) if path is not None else {}
    for name, value in _from_environment(environment).items():
        _lay_over(raw, name, value)
    for name, value in flags.items():
        _lay_over(raw, name, value)
    try:
        config = msgspec.convert(raw, Config, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"configuration: {error}", code="invalid_configuration") from error
    return _checked(_with_absolute_paths(config, path.parent if path is not None else Path.cwd()))


def with_tls_files(config: Config, *, certificate: Path, key: Path) -> Config:
    """The same with other TLS files."""
    files = msgspec.structs.replace(config.tls, certificate=str(certificate), key=str(key))
    return msgspec.structs.replace(config, tls=files)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise Invalid(
            f"there is no configuration file {path}; run `mdmserver init`", code="no_configuration"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise Invalid(f"{path} cannot be read: {error}", code="invalid_configuration") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that name a configuration key; others with our prefix (MDMSERVER_STATE, …) are not ours to judge."""
    names = {
        f"MDMSERVER_{section.upper()}_{field.name.upper()}": f"{section}.{field.name}"
        for section, section_type in _SECTIONS.items()
        for field in msgspec.structs.fields(section_type)
    }
    return {names[variable]: value for variable, value in environment.items() if variable in names}


def _lay_over(raw: dict[str, Any], name: str, value: str) -> None:
    section, _, key = name.partition(".")
    if section not in _SECTIONS or key not in {field.name for field in msgspec.structs.fields(_SECTIONS[section])}:
        raise Invalid(f"configuration: there is no key {name}", code="invalid_configuration")
    is_list = isinstance(getattr(_SECTIONS[section](), key), tuple)
    raw.setdefault(section, {})[key] = [part.strip() for part in value.split(",") if part.strip()] if is_list else value


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    def absolute(path: str) -> str:
        return str(folder / path) if path else ""

    return msgspec.structs.replace(
        config,
        tls=msgspec.structs.replace(
            config.tls, certificate=absolute(config.tls.certificate), key=absolute(config.tls.key)
        ),
        apns=msgspec.structs.replace(config.apns, ca_file=absolute(config.apns.ca_file)),
        device_ca=tuple(
            msgspec.structs.replace(authority, certificates=absolute(authority.certificates))
            for authority in config.device_ca
        ),
    )


def _checked(config: Config) -> Config:
    needs_tls = [name for name in ("https", "mtls") if getattr(config.listen, name)]
    if needs_tls and not config.tls.own_ca and not (config.tls.certificate and config.tls.key):
        raise Invalid(
            f"configuration: listen.{needs_tls[0]} needs tls.certificate and tls.key, or tls.own_ca",
            code="invalid_configuration",
        )
    names = [authority.name for authority in config.device_ca]
    if len(set(names)) != len(names):
        raise Invalid("configuration: two device_ca have the same name", code="invalid_configuration")
    for path in (config.device.command_path, config.device.checkin_path):
        if not path.startswith("/") or path != path.strip():
            raise Invalid(f"configuration: the path {path!r} must begin with /", code="invalid_configuration")
    if not 1 <= config.apns.port <= 65535 or config.apns.concurrency < 1 or config.apns.pushes_per_second < 1:
        raise Invalid(
            "configuration: apns.port, apns.concurrency and apns.pushes_per_second must be positive",
            code="invalid_configuration",
        )
    _check_destructive(config.destructive)
    return config


def _check_destructive(rules: Destructive) -> None:
    if rules.per_ten_minutes < 0 or not 0 <= rules.cap_percent <= 100:
        raise Invalid(
            "configuration: destructive.per_ten_minutes is 0 or more, destructive.cap_percent a percentage",
            code="invalid_configuration",
        )
    if not 0 <= rules.hold_minutes < rules.ttl_hours * 60 <= MAXIMUM_DESTRUCTIVE_HOURS * 60:
        raise Invalid(
            "configuration: destructive.hold_minutes must be shorter than destructive.ttl_hours, and that at most "
            f"{MAXIMUM_DESTRUCTIVE_HOURS}",
            code="invalid_configuration",
        )


_SECTIONS: dict[str, type[Section]] = {
    "server": Server,
    "database": Database,
    "listen": Listen,
    "tls": TLS,
    "identity": Identity,
    "device": Device,
    "ca": CA,
    "enrollment": Enrollment,
    "apns": APNs,
    "destructive": Destructive,
    "limits": Limits,
    "log": Log,
}
