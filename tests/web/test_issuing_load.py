"""Many devices enroll at once: everyone gets a certificate, and what else the loop does is not held up by signing."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certs import PKIStatus
from tests.web.issuing import Applicant, challenge_of, issuing_server, rsa_key

DEVICES = 50
LONGEST_BLOCK_SECONDS = 0.02


async def test_fifty_parallel_enrollments_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        applicants = [Applicant(server=server, key=rsa_key(f"device {number % 4}")) for number in range(DEVICES)]
        # The messages are made before: here the devices' work would stand on the server's loop.
        messages = [each.request(await challenge_of(server)) for each in applicants]
        blocks: list[float] = []
        with _collecting_as_served():
            watcher = asyncio.create_task(_watch(blocks))
            answers = await asyncio.gather(
                *(applicant.send(message) for applicant, message in zip(applicants, messages, strict=True))
            )
            watcher.cancel()
        replies = [applicant.read(answer) for applicant, answer in zip(applicants, answers, strict=True)]

    assert {reply.status for reply in replies} == {PKIStatus.SUCCESS}
    assert len({reply.certificates for reply in replies}) == DEVICES
    # CPU time of the loop's own thread: how long it waits for a core is the machine's business.
    assert max(blocks) < LONGEST_BLOCK_SECONDS


@contextmanager
def _collecting_as_served() -> Iterator[None]:
    """`serve` freezes what there is at its start; the objects of all other tests are not the server's."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _watch(blocks: list[float]) -> None:
    while True:
        at = time.thread_time()
        await asyncio.sleep(0)
        blocks.append(time.thread_time() - at)
