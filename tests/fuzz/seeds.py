"""Where fuzzing starts: messages of every kind as our own encoders write them, and captures where they are at hand."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from certs import (
    CertificateCache,
    CertificateHeaderStyle,
    DeviceAuthority,
    DeviceTrust,
    PrivateKey,
    create_authority,
    format_certificate_header,
    issue_device_certificate,
    sign_device_message,
)
from certs.pem import encode_certificate
from mdmserver.protocol import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    CommandUUID,
    DeclarativeManagement,
    EnrollmentID,
    EnrollmentType,
    ErrorItem,
    GetBootstrapToken,
    GetToken,
    ReturnToService,
    SetBootstrapToken,
    Status,
    TokenUpdate,
    UserAuthenticate,
    build_command,
    encode_checkin,
    encode_report,
    parse_declarative_endpoint,
)

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "captures"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b"the body that is signed"
_DEVICE = EnrollmentID(EnrollmentType.DEVICE, "00008030-001A2B3C4D5E6F70")
_USER = EnrollmentID(EnrollmentType.USER, "A" * 40, "A1B2C3D4-0000-0000-0000-000000000000")
_SHARED = EnrollmentID(EnrollmentType.SHARED_IPAD, "A" * 40, "someone@example.com")
_BYOD = EnrollmentID(EnrollmentType.USER_ENROLLMENT, "enrollment-1", "user-1")
# Fixed, so that a crash can be repeated.
_AUTHORITY_KEY = ec.derive_private_key(20260101, ec.SECP256R1())
_DEVICE_KEY = ec.derive_private_key(20260102, ec.SECP256R1())


def authority_key() -> ec.EllipticCurvePrivateKey:
    """The key of the CA that `certificates` trusts."""
    return _AUTHORITY_KEY


def device_key() -> ec.EllipticCurvePrivateKey:
    """The key of the device's certificate."""
    return _DEVICE_KEY


@cache
def messages() -> list[bytes]:
    """Check-ins, reports and commands."""
    sent: list[CheckinMessage] = [
        Authenticate(enrollment_id=_DEVICE, topic="com.apple.mgmt.x", serial_number="C02", os_version="18.1"),
        TokenUpdate(
            enrollment_id=_USER, topic="t", push_magic="m", token=b"t" * 32, unlock_token=b"u", user_short_name="ü"
        ),
        CheckOut(enrollment_id=_DEVICE, topic="t"),
        UserAuthenticate(enrollment_id=_BYOD, user_short_name="a", digest_response="d"),
        SetBootstrapToken(enrollment_id=_DEVICE, bootstrap_token=b"b"),
        GetBootstrapToken(enrollment_id=_DEVICE, awaiting_configuration=True),
        DeclarativeManagement(
            enrollment_id=_SHARED, endpoint=parse_declarative_endpoint("declaration/asset/a"), data=b"{}"
        ),
        GetToken(enrollment_id=_DEVICE, token_service_type="com.apple.maid", token_parameters={"a": "b"}),
        ReturnToService(enrollment_id=_DEVICE),
    ]
    values = {"QueryResponses": {"IsSupervised": True, "BatteryLevel": 0.5, "At": NOW, "List": [1, -1, b"d", "&<>"]}}
    reports = [
        encode_report(enrollment_id=_DEVICE, status=Status.IDLE),
        encode_report(enrollment_id=_USER, status=Status.NOT_NOW, command_uuid=CommandUUID("U")),
        encode_report(
            enrollment_id=_DEVICE, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID("U"), response=values
        ),
        encode_report(
            enrollment_id=_BYOD,
            status=Status.ERROR,
            command_uuid=CommandUUID("U"),
            error_chain=[ErrorItem(code=1, domain="d", localized_description="l", us_english_description="u")],
        ),
    ]
    commands = [build_command(CommandUUID("U"), {"RequestType": "DeviceInformation", "Queries": ["UDID"]}).body]
    captures = [path.read_bytes() for path in sorted(CAPTURES.glob("*/*")) if path.suffix in (".xml", ".plist")]
    return [*(encode_checkin(message) for message in sent), *reports, *commands, *captures]


@cache
def _authority() -> bytes:
    return create_authority(
        common_name="Fuzz CA",
        key=_AUTHORITY_KEY,
        not_before=NOW,
        not_after=NOW + timedelta(days=3650),
        serial_number=1,
    )


@cache
def device_certificates() -> list[bytes]:
    """One of a device and its CA's."""
    device = issue_device_certificate(
        authority_der=_authority(),
        authority_key=_AUTHORITY_KEY,
        public_key=_DEVICE_KEY.public_key(),
        common_name="device",
        serial_number=2,
        not_before=NOW,
        not_after=NOW + timedelta(days=365),
    )
    return [device, _authority()]


@cache
def certificates() -> CertificateCache:
    """Trusts that CA."""
    return CertificateCache(DeviceTrust([DeviceAuthority(name="fuzz", roots=(_authority(),), intermediates=())]), 8)


@cache
def signatures() -> list[bytes]:
    """CMS messages, as DER."""
    return [text_to_bytes(header) for header in _headers(_DEVICE_KEY)]


def signature_headers() -> list[bytes]:
    """Values of Mdm-Signature, and the bytes in them behind a NUL."""
    return [*(header.encode() for header in _headers(_DEVICE_KEY)), *(b"\0" + der for der in signatures())]


def certificate_headers() -> list[bytes]:
    """Values of a proxy's certificate header."""
    styles: tuple[CertificateHeaderStyle, ...] = ("rfc9440", "escaped_pem")
    return [format_certificate_header(der, style=style).encode() for der in device_certificates() for style in styles]


def pem_files() -> list[bytes]:
    """Bundles of one and of two."""
    pems = [encode_certificate(der) for der in device_certificates()]
    return [*pems, b"a comment\n".join(pems)]


def api_bodies() -> list[bytes]:
    """Commands in JSON."""
    return [
        msgspec.json.encode(
            {
                "command": {
                    "RequestType": "InstallProfile",
                    "Payload": {"$data": "AAAA"},
                    "At": {"$date": "2026-01-01T00:00:00Z"},
                    "Deep": {"$dict": {"$x": [1, 2.5, True, "s", {}]}},
                },
                "targets": ["A", "B"],
                "expires_at": "2027-01-01T00:00:00Z",
                "priority": 5,
            }
        ),
        msgspec.json.encode({"plist": b64encode(messages()[13]).decode(), "everyone": True, "types": ["Device"]}),
    ]


def configurations() -> list[bytes]:
    """Configuration files."""
    return [
        b'[server]\nurl = "https://mdm.example.com"\n[listen]\nhttp = "127.0.0.1:0"\noperations = ""\n'
        b'[identity]\nhttp = ["signature", "mtls+signature"]\ntrusted_proxies = ["10.0.0.0/8"]\n'
        b'[limits]\nresult_bytes = 1000\nheader_seconds = 0.5\n[[device_ca]]\nname = "a"\ncertificates = "ca.pem"\n',
        b'[tls]\ncertificate = "a"\nkey = "b"\n[device]\ncheckin_path = "/checkin"\n[log]\nlevel = "DEBUG"\n',
    ]


def references() -> list[bytes]:
    """Enrollment ids in both forms, a cursor, endpoints."""
    ids = (_DEVICE, _USER, _SHARED, _BYOD)
    texts = [*map(str, ids), *(id.key for id in ids), "MTo0Mg", "tokens", "declaration/configuration/com.example.a"]
    return [text.encode() for text in texts]


def base64_of(data: bytes) -> str:
    """As it stands in a header."""
    return b64encode(data).decode()


def text_to_bytes(text: str) -> bytes:
    """What a base64 text holds."""
    return msgspec.json.decode(f'"{text}"', type=bytes)


def _headers(key: PrivateKey) -> list[str]:
    device = device_certificates()[0]
    return [
        sign_device_message(BODY, device, key, digest=digest, signed_attributes=attributes)
        for digest in ("sha1", "sha256")
        for attributes in (True, False)
    ]
