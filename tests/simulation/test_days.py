"""Simulated festival days without a difference, each planted bug found, and one seed to look at.

docs/decisions/0012-simulation.md says what a day is, docs/proof.md what it proves.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.conftest import DAYS
from tests.simulation.failures import ROOT, Lived, first_found, lived, several, shrunk, told

DAYS_IN_CI = 200
KEPT = (145, 109_027)
"""Seeds of days that once showed something wrong with the product (docs/proof.md)."""
SEEDS_PER_BUG = 50
DIGEST = """
import sys
if sys.argv[2] == "python":
    sys.modules["streams.native.events"] = None  # as where no compiler was
import streams.native
from tests.simulation.day import Day
assert not (streams.native.IS_BUILT and sys.argv[2] == "python")
day = Day(int(sys.argv[1]))
day.run()
print(day.digest())
"""


@pytest.mark.timeout(900)
def test_two_hundred_days_show_no_difference() -> None:
    found = [failure for part in several(0, DAYS_IN_CI) for failure in part.failures]
    assert not found, "\n".join(map(told, found))


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
def test_ten_thousand_days_show_no_difference(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    days = request.config.getoption("--days", default=DAYS)
    first = request.config.getoption("--first-seed", default=100_000)
    lived_until_now = Lived()
    with capsys.disabled():
        for part in several(first, days):
            lived_until_now.add(part)
            told_now = [f"\nfrom seed {first}: {lived_until_now}", *map(told, part.failures)]
            sys.stdout.write("\n".join(told_now))
            sys.stdout.flush()
    assert not lived_until_now.failures, "\n".join(map(told, lived_until_now.failures))


@pytest.mark.parametrize("seed", KEPT)
def test_a_day_that_once_showed_a_difference_shows_none(seed: int) -> None:
    failure = lived(seed)
    assert failure is None, told(failure)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_its_seed(bug: str) -> None:
    assert lived(BUGS[bug][1], bug=bug) is not None


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_within_fifty_seeds(bug: str) -> None:
    seed = first_found(bug, range(SEEDS_PER_BUG))
    assert seed == BUGS[bug][1], f"{bug} is found by seed {seed}: record that one"


def test_a_seed_makes_the_same_day_whatever_the_order_of_hashes_and_with_or_without_the_compiled_part() -> None:
    digests = set()
    for hash_seed, way in (("1", "compiled"), ("2", "python")):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, "13", way],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_failure_is_shrunk_to_the_faults_that_it_needs() -> None:
    bug = "lost_answer_taken_for_a_failure"
    failure, needed = shrunk(BUGS[bug][1], bug)
    assert len(needed) == 1
    assert f"seed {BUGS[bug][1]}, commit " in told(failure)


def test_the_day_of_one_seed(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    seed, bug = (request.config.getoption(name, default=None) for name in ("--seed", "--bug"))
    with capsys.disabled():
        failure = lived(seed, bug=bug)
        if failure is None:
            sys.stdout.write(f"\nnothing is wrong with seed {seed}\n")
            return
        sys.stdout.write(f"\n{told(failure, bug)}\nshrinking…\n")
        failure, needed = shrunk(seed, bug)
        sys.stdout.write("\n".join(failure.trace))
        sys.stdout.write(f"\nwith the faults {needed} alone: {failure.problem}\n")
    pytest.fail(told(failure, bug))
