"""Check-in messages to plists, as a device sends them; the server itself never does."""

from typing import Any, assert_never

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
)
from mdmserver.protocol.enrollment_id import identity_keys
from mdmserver.protocol.message_fields import without_absent
from mdmserver.protocol.plist_writer import dumps


def encode_checkin(message: CheckinMessage) -> bytes:
    """The XML body of this message."""
    return dumps(to_plist(message))


def to_plist(message: CheckinMessage) -> dict[str, Any]:
    """The keys of this message; `parse_checkin_plist` gives the message back."""
    # The id comes last, because the UserShortName of a Shared iPad is part of it.
    return without_absent(_keys_of(message) | identity_keys(message.enrollment_id))


def _keys_of(message: CheckinMessage) -> dict[str, Any]:
    match message:
        case Authenticate():
            return _authenticate_keys(message)
        case TokenUpdate():
            return _token_update_keys(message)
        case CheckOut():
            return {"MessageType": MessageType.CHECK_OUT, "Topic": message.topic}
        case UserAuthenticate():
            return {
                "MessageType": MessageType.USER_AUTHENTICATE,
                "UserShortName": message.user_short_name,
                "UserLongName": message.user_long_name,
                "DigestResponse": message.digest_response,
            }
        case SetBootstrapToken():
            return {
                "MessageType": MessageType.SET_BOOTSTRAP_TOKEN,
                "BootstrapToken": message.bootstrap_token,
                "AwaitingConfiguration": message.awaiting_configuration,
            }
        case GetBootstrapToken():
            return {
                "MessageType": MessageType.GET_BOOTSTRAP_TOKEN,
                "AwaitingConfiguration": message.awaiting_configuration,
            }
        case DeclarativeManagement():
            return {
                "MessageType": MessageType.DECLARATIVE_MANAGEMENT,
                "Endpoint": str(message.endpoint),
                "Data": message.data,
            }
        case GetToken():
            return {
                "MessageType": MessageType.GET_TOKEN,
                "TokenServiceType": message.token_service_type,
                "TokenParameters": message.token_parameters,
            }
        case ReturnToService():
            return {"MessageType": MessageType.RETURN_TO_SERVICE}
    assert_never(message)


def _authenticate_keys(message: Authenticate) -> dict[str, Any]:
    return {
        "MessageType": MessageType.AUTHENTICATE,
        "Topic": message.topic,
        "DeviceName": message.device_name,
        "Model": message.model,
        "ModelName": message.model_name,
        "OSVersion": message.os_version,
        "BuildVersion": message.build_version,
        "ProductName": message.product_name,
        "SerialNumber": message.serial_number,
        "IMEI": message.imei,
        "MEID": message.meid,
    }


def _token_update_keys(message: TokenUpdate) -> dict[str, Any]:
    return {
        "MessageType": MessageType.TOKEN_UPDATE,
        "Topic": message.topic,
        "PushMagic": message.push_magic,
        "Token": message.token or b"",
        "UnlockToken": message.unlock_token,
        "AwaitingConfiguration": message.awaiting_configuration,
        "NotOnConsole": message.not_on_console,
        "UserShortName": message.user_short_name,
        "UserLongName": message.user_long_name,
    }
