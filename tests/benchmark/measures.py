"""What a phase used of this process: seconds, processor time, memory."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mib() -> float:
    """The memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


@dataclass(slots=True)
class Measure:
    """Begins when it is made."""

    began: float
    processor: float
    memory: float

    @classmethod
    def begin(cls) -> "Measure":
        """Now."""
        return cls(time.perf_counter(), time.process_time(), resident_mib())

    def figures(self, number: int) -> dict[str, float]:
        """Per second, microseconds of processor each, and MiB at the beginning and the end."""
        seconds, processor = time.perf_counter() - self.began, time.process_time() - self.processor
        return {
            "number": number,
            "seconds": round(seconds, 2),
            "per_second": round(number / seconds, 1),
            "per_second_of_one_core": round(number / processor, 1) if processor else 0.0,
            "processor_us_each": round(processor / number * 1e6, 1) if number else 0.0,
            "mib_before": round(self.memory, 1),
            "mib_after": round(resident_mib(), 1),
        }
