"""Who a simulated device is: platform, names and numbers in the shapes that real devices have.

What is installed on it is `installed`; how it proves who it is, `identity`.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from uuid import UUID

from mdmserver.protocol import EnrollmentID, EnrollmentType

_SERIAL_SYMBOLS = "0123456789CDFGHJKLMNPQRTVWXY"  # Apple leaves out vowels and what looks alike
_USERS = (("avogel", "Anna Vogel"), ("bkaya", "Baris Kaya"), ("cmoreau", "Claire Moreau"), ("djones", "Dan Jones"))


class Platform(StrEnum):
    """The kinds of device that are simulated."""

    IPHONE = "iPhone"
    IPAD = "iPad"
    MAC = "Mac"
    APPLE_TV = "AppleTV"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleUser:
    """The managed user of a Mac, who has a channel of their own."""

    user_id: str
    short_name: str
    long_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a device can say of itself; `user` is there for Macs alone, `imei` for iPhones.

    `anonymous_id` is what a device calls itself by whose person enrolled it as their own; it then tells no numbers.
    """

    platform: Platform
    udid: str
    serial_number: str
    device_name: str
    product_name: str
    model: str
    model_name: str
    os_version: str
    build_version: str
    wifi_mac: str
    imei: str | None = None
    user: ConsoleUser | None = None
    anonymous_id: str | None = None

    @property
    def device_id(self) -> EnrollmentID:
        """The enrollment of the device itself."""
        if self.anonymous_id is not None:
            return EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, self.anonymous_id)
        return EnrollmentID(EnrollmentType.DEVICE, self.udid)

    @property
    def user_id(self) -> EnrollmentID | None:
        """The enrollment of the user's channel, if there is one."""
        if self.user is None:
            return None
        kind = EnrollmentType.USER if self.anonymous_id is None else EnrollmentType.USER_ENROLLMENT
        return EnrollmentID(kind, self.device_id.device, self.user.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    product_name: str
    model: str
    model_name: str
    os_version: str
    build_version: str


_MODELS = {
    Platform.IPHONE: (
        _Model(product_name="iPhone17,1", model="MYMX3", model_name="iPhone", os_version="18.1", build_version="22B83"),
        _Model(product_name="iPhone14,7", model="MPUF3", model_name="iPhone", os_version="17.7", build_version="21H16"),
    ),
    Platform.IPAD: (
        _Model(product_name="iPad14,8", model="MUWD3", model_name="iPad", os_version="18.1", build_version="22B83"),
        _Model(product_name="iPad13,18", model="MPQ03", model_name="iPad", os_version="17.7", build_version="21H16"),
    ),
    Platform.MAC: (
        _Model(
            product_name="Mac15,6",
            model="Mac15,6",
            model_name="MacBook Pro",
            os_version="15.1",
            build_version="24B83",
        ),
        _Model(
            product_name="Macmini9,1",
            model="Macmini9,1",
            model_name="Mac mini",
            os_version="14.7",
            build_version="23H124",
        ),
    ),
    Platform.APPLE_TV: (
        _Model(
            product_name="AppleTV14,1",
            model="MN873",
            model_name="Apple TV",
            os_version="18.1",
            build_version="22J580",
        ),
    ),
}


def draw_facts(platform: Platform, random: Random) -> DeviceFacts:
    """A device of this platform; the same randomness gives the same device."""
    model = random.choice(_MODELS[platform])
    serial_number = "".join(random.choices(_SERIAL_SYMBOLS, k=10))
    return DeviceFacts(
        platform=platform,
        udid=_draw_udid(platform, random),
        serial_number=serial_number,
        device_name=f"{model.model_name} {serial_number[-4:]}",
        product_name=model.product_name,
        model=model.model,
        model_name=model.model_name,
        os_version=model.os_version,
        build_version=model.build_version,
        wifi_mac=":".join(f"{octet:02x}" for octet in random.randbytes(6)),
        imei=_draw_imei(random) if platform is Platform.IPHONE else None,
        user=_draw_user(random) if platform is Platform.MAC else None,
    )


def draw_uuid(random: Random) -> str:
    """A version 4 UUID in capital letters, as Apple writes them."""
    return str(UUID(int=random.getrandbits(128), version=4)).upper()


def _draw_udid(platform: Platform, random: Random) -> str:
    if platform is Platform.MAC:
        return draw_uuid(random)
    # Chip, then a number of the single device: the form since 2018.
    return f"0000{random.choice(('8101', '8110', '8120', '8140'))}-{random.getrandbits(64):016X}"


def _draw_imei(random: Random) -> str:
    digits = f"35{random.randrange(10**13):013d}"
    return f"{digits[:2]} {digits[2:8]} {digits[8:14]} {digits[14]}"


def _draw_user(random: Random) -> ConsoleUser:
    short_name, long_name = random.choice(_USERS)
    return ConsoleUser(user_id=draw_uuid(random), short_name=short_name, long_name=long_name)
