"""Every fuzz target for a moment: guided by coverage where atheris runs, by seeded mutation everywhere."""

from pathlib import Path

import pytest

from tests.fuzz.mutation import Failed, mutate
from tests.fuzz.runs import fuzz, has_fuzzer
from tests.fuzz.targets import TARGETS, Target

MUTATIONS = 1_000
GUIDED_RUNS = 5_000
SECONDS = 1
every_target = pytest.mark.parametrize("name", TARGETS)


@every_target
def test_mutated_input_ends_in_nothing_but_the_packages_own_errors(name: str) -> None:
    # Where atheris does not run, this is all there is.
    mutate(TARGETS[name], runs=MUTATIONS if has_fuzzer() else 10 * MUTATIONS, seed=20260101)


if has_fuzzer():

    def test_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
        run = fuzz(TARGETS, tmp_path, f"-runs={GUIDED_RUNS}", f"-max_total_time={SECONDS}", "-seed=20260101")

        assert not run.artefacts, run.output[-8000:]
        assert run.finished == len(TARGETS), run.output[-8000:]


@every_target
def test_every_target_reads_some_of_its_seeds(name: str) -> None:
    target = TARGETS[name]

    assert any(_is_read(target, seed) for seed in target.seeds())


def test_a_target_that_breaks_is_noticed_and_its_input_told() -> None:
    broken = Target(run=lambda data: 1 // data.count(b"x"), raises=(), seeds=lambda: [b"xyz"])

    with pytest.raises(Failed) as failure:
        mutate(broken, runs=MUTATIONS, seed=1)

    assert b"x" not in failure.value.data


def _is_read(target: Target, seed: bytes) -> bool:
    try:
        target.run(seed)
    except target.raises:
        return False
    return True
