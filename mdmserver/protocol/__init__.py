"""MDM on the wire, in both directions: bytes to values and values to bytes, with no I/O and no state.

A server reads what a device writes and the other way round, so the simulator uses the same functions. Every fault in
what came from outside is a `ProtocolError`.
"""

from mdmserver.protocol.checkin import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    MessageType,
    ReturnToService,
    SetBootstrapToken,
    TokenUpdate,
    UserAuthenticate,
    is_checkin,
)
from mdmserver.protocol.checkin_encode import encode_checkin, to_plist
from mdmserver.protocol.checkin_parse import parse_checkin, parse_checkin_plist
from mdmserver.protocol.checkin_replies import (
    ReturnToServiceReply,
    encode_auth_token,
    encode_bootstrap_token,
    encode_digest_challenge,
    encode_return_to_service,
    encode_token_data,
    parse_auth_token,
    parse_bootstrap_token,
    parse_digest_challenge,
    parse_return_to_service,
    parse_token_data,
)
from mdmserver.protocol.command import Command, CommandReport, CommandUUID, ErrorItem, Status
from mdmserver.protocol.command_wire import (
    build_command,
    encode_report,
    parse_command,
    parse_command_payload,
    parse_report,
    parse_report_plist,
    report_from_root,
)
from mdmserver.protocol.declarative_endpoint import (
    DeclarationKind,
    DeclarativeEndpoint,
    DeclarativeResource,
    parse_declarative_endpoint,
)
from mdmserver.protocol.enrollment_id import (
    EnrollmentID,
    EnrollmentType,
    enrollment_id_of,
    identity_keys,
    parse_external,
)
from mdmserver.protocol.errors import (
    BinaryPlistRefused,
    MessageMalformed,
    PlistMalformed,
    PlistTooLarge,
    ProtocolError,
    UnknownMessage,
)
from mdmserver.protocol.plist import loads
from mdmserver.protocol.plist_guard import PlistLimits
from mdmserver.protocol.plist_scan import scan_root_strings
from mdmserver.protocol.plist_values import MalformedData
from mdmserver.protocol.plist_writer import dumps
from mdmserver.protocol.request_types import (
    DESTRUCTIVE_REQUEST_TYPES,
    REQUEST_TYPES,
    AccessRight,
    Channel,
    Platform,
    RequestTypeFacts,
    is_destructive,
    is_known,
)

__all__ = [
    "DESTRUCTIVE_REQUEST_TYPES",
    "REQUEST_TYPES",
    "AccessRight",
    "Authenticate",
    "BinaryPlistRefused",
    "Channel",
    "CheckOut",
    "CheckinMessage",
    "Command",
    "CommandReport",
    "CommandUUID",
    "DeclarationKind",
    "DeclarativeEndpoint",
    "DeclarativeManagement",
    "DeclarativeResource",
    "EnrollmentID",
    "EnrollmentType",
    "ErrorItem",
    "GetBootstrapToken",
    "GetToken",
    "MalformedData",
    "MessageMalformed",
    "MessageType",
    "Platform",
    "PlistLimits",
    "PlistMalformed",
    "PlistTooLarge",
    "ProtocolError",
    "RequestTypeFacts",
    "ReturnToService",
    "ReturnToServiceReply",
    "SetBootstrapToken",
    "Status",
    "TokenUpdate",
    "UnknownMessage",
    "UserAuthenticate",
    "build_command",
    "dumps",
    "encode_auth_token",
    "encode_bootstrap_token",
    "encode_checkin",
    "encode_digest_challenge",
    "encode_report",
    "encode_return_to_service",
    "encode_token_data",
    "enrollment_id_of",
    "identity_keys",
    "is_checkin",
    "is_destructive",
    "is_known",
    "loads",
    "parse_auth_token",
    "parse_bootstrap_token",
    "parse_checkin",
    "parse_checkin_plist",
    "parse_command",
    "parse_command_payload",
    "parse_declarative_endpoint",
    "parse_digest_challenge",
    "parse_external",
    "parse_report",
    "parse_report_plist",
    "parse_return_to_service",
    "parse_token_data",
    "report_from_root",
    "scan_root_strings",
    "to_plist",
]
