"""Check-in messages from plists. Unknown keys are ignored, as devices add them with every release."""

from collections.abc import Callable, Mapping
from typing import Any

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
from mdmserver.protocol.declarative_endpoint import parse_declarative_endpoint
from mdmserver.protocol.enrollment_id import EnrollmentID, enrollment_id_of
from mdmserver.protocol.errors import MessageMalformed, UnknownMessage
from mdmserver.protocol.message_fields import (
    exact_bytes,
    optional_bytes,
    optional_flag,
    optional_text,
    required_text,
)
from mdmserver.protocol.plist import loads

LONGEST_PUSH_TOKEN = 1024


def parse_checkin(body: bytes) -> CheckinMessage:
    """The message in an XML body; raises what `loads` and `parse_checkin_plist` raise."""
    return parse_checkin_plist(loads(body))


def parse_checkin_plist(plist: Mapping[str, Any]) -> CheckinMessage:
    """The message in a plist; MessageMalformed where a needed key is missing or wrong, UnknownMessage where the
    MessageType is none of ours."""
    message_type = required_text(plist, "MessageType")
    parse = _PARSERS.get(message_type)
    if parse is None:
        raise UnknownMessage("the MessageType is not known")
    return parse(plist, enrollment_id_of(plist))


def _parse_authenticate(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> Authenticate:
    if enrollment_id.is_user_channel:
        raise MessageMalformed("Authenticate on a user channel")
    return Authenticate(
        enrollment_id=enrollment_id,
        topic=required_text(plist, "Topic"),
        device_name=optional_text(plist, "DeviceName"),
        model=optional_text(plist, "Model"),
        model_name=optional_text(plist, "ModelName"),
        os_version=optional_text(plist, "OSVersion"),
        build_version=optional_text(plist, "BuildVersion"),
        product_name=optional_text(plist, "ProductName"),
        serial_number=optional_text(plist, "SerialNumber"),
        imei=optional_text(plist, "IMEI"),
        meid=optional_text(plist, "MEID"),
    )


def _parse_token_update(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> TokenUpdate:
    if not isinstance(plist.get("Token"), bytes):
        raise MessageMalformed("Token is missing or not data")
    token = optional_bytes(plist, "Token")
    return TokenUpdate(
        enrollment_id=enrollment_id,
        topic=required_text(plist, "Topic"),
        push_magic=required_text(plist, "PushMagic"),
        token=token if token and len(token) <= LONGEST_PUSH_TOKEN else None,
        unlock_token=optional_bytes(plist, "UnlockToken"),
        awaiting_configuration=optional_flag(plist, "AwaitingConfiguration"),
        not_on_console=optional_flag(plist, "NotOnConsole"),
        user_short_name=optional_text(plist, "UserShortName"),
        user_long_name=optional_text(plist, "UserLongName"),
    )


def _parse_check_out(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> CheckOut:
    return CheckOut(enrollment_id=enrollment_id, topic=optional_text(plist, "Topic"))


def _parse_user_authenticate(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> UserAuthenticate:
    if not enrollment_id.is_user_channel:
        raise MessageMalformed("UserAuthenticate without a user")
    return UserAuthenticate(
        enrollment_id=enrollment_id,
        user_short_name=optional_text(plist, "UserShortName"),
        user_long_name=optional_text(plist, "UserLongName"),
        digest_response=optional_text(plist, "DigestResponse"),
    )


def _parse_set_bootstrap_token(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> SetBootstrapToken:
    return SetBootstrapToken(
        enrollment_id=enrollment_id,
        # Empty deletes; a token that cannot be read must not.
        bootstrap_token=exact_bytes(plist, "BootstrapToken") or None,
        awaiting_configuration=optional_flag(plist, "AwaitingConfiguration"),
    )


def _parse_get_bootstrap_token(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> GetBootstrapToken:
    return GetBootstrapToken(
        enrollment_id=enrollment_id, awaiting_configuration=optional_flag(plist, "AwaitingConfiguration")
    )


def _parse_declarative_management(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> DeclarativeManagement:
    return DeclarativeManagement(
        enrollment_id=enrollment_id,
        endpoint=parse_declarative_endpoint(required_text(plist, "Endpoint")),
        data=exact_bytes(plist, "Data"),
    )


def _parse_get_token(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> GetToken:
    parameters = plist.get("TokenParameters")
    return GetToken(
        enrollment_id=enrollment_id,
        token_service_type=required_text(plist, "TokenServiceType"),
        token_parameters=_texts_of(parameters) if isinstance(parameters, dict) else None,
    )


def _texts_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: optional_text(parameters, key) for key in parameters}
    return {key: text for key, text in texts.items() if text is not None}


def _parse_return_to_service(plist: Mapping[str, Any], enrollment_id: EnrollmentID) -> ReturnToService:
    return ReturnToService(enrollment_id=enrollment_id)


_PARSERS: dict[str, Callable[[Mapping[str, Any], EnrollmentID], CheckinMessage]] = {
    MessageType.AUTHENTICATE: _parse_authenticate,
    MessageType.TOKEN_UPDATE: _parse_token_update,
    MessageType.CHECK_OUT: _parse_check_out,
    MessageType.USER_AUTHENTICATE: _parse_user_authenticate,
    MessageType.SET_BOOTSTRAP_TOKEN: _parse_set_bootstrap_token,
    MessageType.GET_BOOTSTRAP_TOKEN: _parse_get_bootstrap_token,
    MessageType.DECLARATIVE_MANAGEMENT: _parse_declarative_management,
    MessageType.GET_TOKEN: _parse_get_token,
    MessageType.RETURN_TO_SERVICE: _parse_return_to_service,
}
