"""The keys of simulated devices, and certificates by a CA that the server trusts. Sending them is `proof`, SCEP `scep`.

Making an RSA key takes tens of milliseconds, so that devices may share a few keys; certificates are always their own.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle

from certs import PrivateKey, generate_ec, generate_rsa, issue_device_certificate
from certs.keys import RSAKey
from mdmserver.clock import Clock

LIFETIME = timedelta(days=365)
CLOCK_DIFFERENCE = timedelta(minutes=5)

MakeKey = Callable[[], PrivateKey]
MAKE_KEYS: dict[str, MakeKey] = {"rsa": generate_rsa, "p256": generate_ec}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key, with which a device proves who it is."""

    certificate_der: bytes
    key: PrivateKey


class IdentityIssuer:
    """Gives each device a certificate; raises CertificateError where the CA's key and certificate do not fit."""

    def __init__(
        self,
        *,
        authority_der: bytes,
        authority_key: PrivateKey,
        keys: Iterator[PrivateKey],
        clock: Clock,
        new_serial_number: Callable[[], int],
    ) -> None:
        self._authority_der = authority_der
        self._authority_key = authority_key
        self._keys = keys
        self._clock = clock
        self._new_serial_number = new_serial_number

    def issue(self, common_name: str) -> Identity:
        """A new certificate for the next key."""
        key = next(self._keys)
        now = self._clock()
        certificate_der = issue_device_certificate(
            authority_der=self._authority_der,
            authority_key=self._authority_key,
            public_key=key.public_key(),
            common_name=common_name,
            serial_number=self._new_serial_number(),
            not_before=now - CLOCK_DIFFERENCE,
            not_after=now + LIFETIME,
        )
        return Identity(certificate_der=certificate_der, key=key)


def shared_keys(make: MakeKey, count: int) -> Iterator[PrivateKey]:
    """The same `count` keys over and over, made at the first use of each."""
    return cycle(make() for _ in range(count))


def own_keys(make: MakeKey) -> Iterator[PrivateKey]:
    """A new key each time."""
    while True:
        yield make()


class RSAKeys:
    """RSA keys of the sizes that profiles ask for: `shared` of each size over and over, or each time a new one."""

    def __init__(self, *, shared: int | None, make: Callable[[int], RSAKey] = generate_rsa) -> None:
        self._shared = shared
        self._make = make
        self._made: defaultdict[int, list[RSAKey]] = defaultdict(list)
        self._taken = 0

    async def take(self, bits: int) -> RSAKey:
        """A key of this size, made in a thread where it has to be made."""
        if self._shared is None:
            return await asyncio.to_thread(self._make, bits)
        made = self._made[bits]
        if len(made) < self._shared:
            made.append(await asyncio.to_thread(self._make, bits))
            return made[-1]
        self._taken += 1
        return made[self._taken % len(made)]
