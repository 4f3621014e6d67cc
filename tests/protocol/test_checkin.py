"""Check-in messages: what is needed, what is forgiven, and the way there and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.protocol import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    DeclarationKind,
    DeclarativeEndpoint,
    DeclarativeManagement,
    DeclarativeResource,
    EnrollmentID,
    EnrollmentType,
    GetBootstrapToken,
    GetToken,
    MalformedData,
    MessageMalformed,
    MessageType,
    ReturnToService,
    ReturnToServiceReply,
    SetBootstrapToken,
    TokenUpdate,
    UnknownMessage,
    UserAuthenticate,
    encode_auth_token,
    encode_bootstrap_token,
    encode_checkin,
    encode_digest_challenge,
    encode_return_to_service,
    encode_token_data,
    is_checkin,
    loads,
    parse_auth_token,
    parse_bootstrap_token,
    parse_checkin,
    parse_checkin_plist,
    parse_declarative_endpoint,
    parse_digest_challenge,
    parse_return_to_service,
    parse_token_data,
)

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60)
filled = texts.filter(bool)
maybe_text = st.none() | texts
maybe_flag = st.none() | st.booleans()
maybe_bytes = st.none() | st.binary(min_size=1, max_size=60)
devices = st.builds(
    EnrollmentID,
    st.sampled_from([EnrollmentType.DEVICE, EnrollmentType.USER_ENROLLMENT_DEVICE]),
    st.from_regex(r"[A-Za-z0-9-]{1,40}", fullmatch=True),
)
users = st.builds(
    EnrollmentID,
    st.sampled_from([EnrollmentType.USER, EnrollmentType.USER_ENROLLMENT]),
    st.from_regex(r"[A-Za-z0-9-]{1,40}", fullmatch=True),
    filled,
)
channels = devices | users
endpoints = st.sampled_from(
    [
        DeclarativeEndpoint(resource=DeclarativeResource.TOKENS),
        DeclarativeEndpoint(resource=DeclarativeResource.DECLARATION_ITEMS),
        DeclarativeEndpoint(resource=DeclarativeResource.STATUS),
    ]
) | st.builds(
    DeclarativeEndpoint,
    resource=st.just(DeclarativeResource.DECLARATION),
    kind=st.sampled_from(list(DeclarationKind)),
    identifier=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
)
messages: st.SearchStrategy[CheckinMessage] = st.one_of(
    st.builds(
        Authenticate,
        enrollment_id=devices,
        topic=filled,
        device_name=maybe_text,
        model=maybe_text,
        model_name=maybe_text,
        os_version=maybe_text,
        build_version=maybe_text,
        product_name=maybe_text,
        serial_number=maybe_text,
        imei=maybe_text,
        meid=maybe_text,
    ),
    st.builds(
        TokenUpdate,
        enrollment_id=channels,
        topic=filled,
        push_magic=filled,
        token=maybe_bytes,
        unlock_token=maybe_bytes,
        awaiting_configuration=maybe_flag,
        not_on_console=maybe_flag,
        user_short_name=maybe_text,
        user_long_name=maybe_text,
    ),
    st.builds(CheckOut, enrollment_id=channels, topic=maybe_text),
    st.builds(
        UserAuthenticate,
        enrollment_id=users,
        user_short_name=maybe_text,
        user_long_name=maybe_text,
        digest_response=maybe_text,
    ),
    st.builds(SetBootstrapToken, enrollment_id=devices, bootstrap_token=maybe_bytes, awaiting_configuration=maybe_flag),
    st.builds(GetBootstrapToken, enrollment_id=devices, awaiting_configuration=maybe_flag),
    st.builds(
        DeclarativeManagement, enrollment_id=channels, endpoint=endpoints, data=st.none() | st.binary(max_size=60)
    ),
    st.builds(
        GetToken,
        enrollment_id=channels,
        token_service_type=filled,
        token_parameters=st.none() | st.dictionaries(texts, texts, max_size=3),
    ),
    st.builds(ReturnToService, enrollment_id=devices),
)

AUTHENTICATE = {"MessageType": "Authenticate", "UDID": "D1", "Topic": "com.apple.mgmt.t"}
TOKEN_UPDATE = {"MessageType": "TokenUpdate", "UDID": "D1", "Topic": "t", "PushMagic": "M", "Token": b"\x01"}


@given(messages)
def test_every_message_survives_the_way_out_and_back(message: CheckinMessage) -> None:
    body = encode_checkin(message)

    assert parse_checkin(body) == message
    assert is_checkin(loads(body))


def test_every_message_type_has_its_class() -> None:
    union = {message.__name__ for message in CheckinMessage.__args__}

    assert {str(kind) for kind in MessageType} == union


def test_a_shared_ipad_names_its_user_by_the_short_name() -> None:
    enrollment_id = EnrollmentID(EnrollmentType.SHARED_IPAD, "D1", "a@b.c")
    message = TokenUpdate(
        enrollment_id=enrollment_id, topic="t", push_magic="M", token=b"\x01", user_short_name="a@b.c"
    )

    assert parse_checkin(encode_checkin(message)) == message


def test_an_authenticate_with_only_type_id_and_topic_is_accepted() -> None:
    message = parse_checkin_plist(AUTHENTICATE)

    assert message == Authenticate(enrollment_id=EnrollmentID(EnrollmentType.DEVICE, "D1"), topic="com.apple.mgmt.t")


def test_unknown_keys_and_optional_keys_of_a_wrong_type_are_ignored() -> None:
    odd = {"Challenge": b"\x01", "OSVersion": 17.5, "SerialNumber": MalformedData(), "Model": "x" * 4097, "IMEI": ["1"]}

    assert parse_checkin_plist(AUTHENTICATE | odd) == parse_checkin_plist(AUTHENTICATE)


@pytest.mark.parametrize(
    "plist",
    [
        {"UDID": "D1", "Topic": "t"},
        AUTHENTICATE | {"MessageType": 1},
        AUTHENTICATE | {"MessageType": ""},
        AUTHENTICATE | {"Topic": ""},
        AUTHENTICATE | {"Topic": 1},
        AUTHENTICATE | {"Topic": "t" * 4097},
        AUTHENTICATE | {"UDID": "a:b"},
        AUTHENTICATE | {"UserID": "U"},
        {"MessageType": "Authenticate", "UDID": "D1"},
        {key: value for key, value in TOKEN_UPDATE.items() if key != "Token"},
        {key: value for key, value in TOKEN_UPDATE.items() if key != "PushMagic"},
        TOKEN_UPDATE | {"Token": "text"},
        {"MessageType": "UserAuthenticate", "UDID": "D1"},
        {"MessageType": "SetBootstrapToken", "UDID": "D1", "BootstrapToken": MalformedData()},
        {"MessageType": "SetBootstrapToken", "UDID": "D1", "BootstrapToken": "text"},
        {"MessageType": "DeclarativeManagement", "UDID": "D1"},
        {"MessageType": "DeclarativeManagement", "UDID": "D1", "Endpoint": "../secrets"},
        {"MessageType": "DeclarativeManagement", "UDID": "D1", "Endpoint": "status", "Data": MalformedData()},
        {"MessageType": "GetToken", "UDID": "D1"},
    ],
)
def test_a_message_without_what_it_needs_is_malformed(plist: dict[str, Any]) -> None:
    with pytest.raises(MessageMalformed):
        parse_checkin_plist(plist)


def test_a_message_of_another_kind_is_unknown() -> None:
    with pytest.raises(UnknownMessage):
        parse_checkin_plist(AUTHENTICATE | {"MessageType": "Autenticate"})


@pytest.mark.parametrize("token", [MalformedData(), b"", b"x" * 1025])
def test_a_token_that_cannot_be_used_is_none(token: bytes) -> None:
    message = parse_checkin_plist(TOKEN_UPDATE | {"Token": token})

    assert isinstance(message, TokenUpdate)
    assert message.token is None


def test_a_very_short_push_token_is_accepted() -> None:
    message = parse_checkin_plist(TOKEN_UPDATE)

    assert isinstance(message, TokenUpdate)
    assert message.token == b"\x01"
    assert message.unlock_token is None
    assert message.awaiting_configuration is None


@pytest.mark.parametrize("keys", [{}, {"BootstrapToken": b""}])
def test_a_missing_or_empty_bootstrap_token_means_delete(keys: dict[str, bytes]) -> None:
    message = parse_checkin_plist({"MessageType": "SetBootstrapToken", "UDID": "D1", **keys})

    assert message == SetBootstrapToken(enrollment_id=EnrollmentID(EnrollmentType.DEVICE, "D1"), bootstrap_token=None)


def test_secrets_are_not_in_the_repr() -> None:
    canary = b"canary"
    device = EnrollmentID(EnrollmentType.DEVICE, "D1")
    shown = [
        TokenUpdate(enrollment_id=device, topic="t", push_magic="canary", token=canary, unlock_token=canary),
        SetBootstrapToken(enrollment_id=device, bootstrap_token=canary),
        GetToken(enrollment_id=device, token_service_type="t", token_parameters={"SecurityToken": "canary"}),
        ReturnToServiceReply(enabled=True, bootstrap_token=canary, mdm_profile=canary, wifi_profile=canary),
    ]

    assert "canary" not in repr(shown)


@pytest.mark.parametrize("text", ["tokens", "declaration-items", "status", "declaration/configuration/com.example.a"])
def test_an_endpoint_of_the_grammar_is_read_and_written(text: str) -> None:
    assert str(parse_declarative_endpoint(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "Tokens",
        "tokens/",
        "tokens?x=1",
        "status/../tokens",
        "declaration",
        "declaration/",
        "declaration/configuration",
        "declaration/configuration/",
        "declaration/configuration/..",
        "declaration/configuration/a/b",
        "declaration/configuration/a%2fb",
        "declaration/configuration/a b",
        "declaration/configuration/a\r\nHost: x",
        "declaration/secret/a",
        "declaration/configuration/" + "a" * 256,
        "tokens/configuration/a",
        "https://example.com/",
    ],
)
def test_an_endpoint_outside_of_the_grammar_is_malformed(text: str) -> None:
    with pytest.raises(MessageMalformed):
        parse_declarative_endpoint(text)


def test_replies_are_read_as_they_were_written() -> None:
    assert parse_digest_challenge(encode_digest_challenge()) == ""
    assert parse_digest_challenge(encode_digest_challenge("c")) == "c"
    assert parse_auth_token(encode_auth_token("a")) == "a"
    assert parse_bootstrap_token(encode_bootstrap_token(b"b")) == b"b"
    assert parse_bootstrap_token(b"") is None
    assert parse_token_data(encode_token_data(b"t")) == b"t"


@pytest.mark.parametrize(
    "reply",
    [
        ReturnToServiceReply(enabled=False),
        ReturnToServiceReply(
            enabled=True,
            wifi_profile=b"w",
            mdm_profile=b"m",
            bootstrap_token=b"b",
            should_retry_enrollment=True,
            preserve_data_plan=False,
        ),
    ],
)
def test_a_return_to_service_reply_is_read_as_it_was_written(reply: ReturnToServiceReply) -> None:
    assert parse_return_to_service(encode_return_to_service(reply)) == reply


def test_a_reply_without_its_value_is_malformed() -> None:
    other = encode_auth_token("a")

    for parse in (parse_digest_challenge, parse_token_data, parse_return_to_service):
        with pytest.raises(MessageMalformed):
            parse(other)
