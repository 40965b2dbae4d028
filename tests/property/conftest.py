"""Hypothesis profiles: `ci` is what the test command runs, `thorough` what a change of the ledger deserves.

.venv/bin/python -m pytest tests/property --hypothesis-profile thorough
"""

from hypothesis import HealthCheck, settings

settings.register_profile("ci", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("ci"), max_examples=1000)
settings.load_profile("ci")
