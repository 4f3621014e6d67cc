"""Fuzzing without a fuzzer: seeded mutations of the seeds, for interpreters that atheris does not run on."""

from random import Random

from tests.fuzz.targets import Target

_PIECES = (
    b"<key>", b"</dict>", b"<array>", b"<data>", b"<integer>0x", b"<date>", b"&", b"&#0;", b"<!--", b"<![CDATA[",
    b"\0", b"\xff", b"\x30\x80", b"\x00\x00", b"\x02\x01", b"\xa0\x80",
    b"[", b"{", b'"$data":', b"null", b"=", b"%", b":", b"\n",
)  # fmt: skip


class Failed(AssertionError):
    """A target did not hold for the bytes in `data`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"fails for {data!r}")
        self.data = data


def mutate(target: Target, *, runs: int, seed: int) -> None:
    """Run a target on so many mutated seeds; raises Failed from whatever it raised."""
    random = Random(seed)
    pool = target.seeds()
    for data in [*pool, b""]:
        _check(target, data)
    for _ in range(runs):
        _check(target, _mutated(random.choice(pool), random))


def _check(target: Target, data: bytes) -> None:
    try:
        target.check(data)
    except Exception as error:
        raise Failed(data) from error


def _mutated(data: bytes, random: Random) -> bytes:
    mutable = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(mutable) + 1)
        match random.randrange(5):
            case 0 if at < len(mutable):
                mutable[at] = random.randrange(256)
            case 1:
                del mutable[at : at + random.randint(1, 40)]
            case 2:
                mutable[at:at] = random.choice(_PIECES) * random.choice((1, 1, 1, 50))
            case 3:
                start = random.randrange(len(mutable) + 1)
                mutable[at:at] = mutable[start : start + random.randint(1, 200)]
            case _ if at < len(mutable):
                mutable[at] ^= 1 << random.randrange(8)
    return bytes(mutable)
