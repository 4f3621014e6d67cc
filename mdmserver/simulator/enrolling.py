"""The check-in messages of a simulated device, with the keys that its platform sends."""

from mdmserver.protocol import Authenticate, CheckOut, TokenUpdate
from mdmserver.simulator.channel import Channel
from mdmserver.simulator.facts import DeviceFacts, Platform

_WITH_UNLOCK_TOKEN = frozenset({Platform.IPHONE, Platform.IPAD})


def authenticate(channel: Channel, facts: DeviceFacts, topic: str) -> Authenticate:
    """The first message; only Macs give their names in it."""
    is_mac = facts.platform is Platform.MAC
    tells_numbers = facts.anonymous_id is None
    return Authenticate(
        enrollment_id=channel.enrollment_id,
        topic=topic,
        device_name=facts.device_name if is_mac else None,
        model=facts.model if is_mac else None,
        model_name=facts.model_name if is_mac else None,
        os_version=facts.os_version,
        build_version=facts.build_version,
        product_name=facts.product_name,
        serial_number=facts.serial_number if tells_numbers else None,
        imei=facts.imei if tells_numbers else None,
    )


def token_update(channel: Channel, facts: DeviceFacts, topic: str, *, unlock_token: bytes | None) -> TokenUpdate:
    """How to wake the device's channel; `unlock_token` is sent by the platforms that have one."""
    return TokenUpdate(
        enrollment_id=channel.enrollment_id,
        topic=topic,
        push_magic=channel.push_magic,
        token=channel.push_token,
        unlock_token=unlock_token if facts.platform in _WITH_UNLOCK_TOKEN and facts.anonymous_id is None else None,
        awaiting_configuration=False,
    )


def user_token_update(channel: Channel, facts: DeviceFacts, topic: str) -> TokenUpdate:
    """How to wake the channel of the user who is logged in."""
    return TokenUpdate(
        enrollment_id=channel.enrollment_id,
        topic=topic,
        push_magic=channel.push_magic,
        token=channel.push_token,
        not_on_console=False,
        user_short_name=facts.user.short_name if facts.user else None,
        user_long_name=facts.user.long_name if facts.user else None,
    )


def check_out(channel: Channel, topic: str) -> CheckOut:
    """The last message."""
    return CheckOut(enrollment_id=channel.enrollment_id, topic=topic)
