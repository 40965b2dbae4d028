"""A few simulated days, lived in the process of the test: what is counted and shown has no difference.

`tests/simulation` lives hundreds of days, in processes of their own. These few run in this one, so that they tell what
a change of the code does to a whole day: they are the last net of `bin/mutants`.
"""

from __future__ import annotations

import pytest

from tests.simulation.failures import lived, told


@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_faults_shows_no_difference(seed: int) -> None:
    failure = lived(seed)
    assert failure is None, told(failure)
