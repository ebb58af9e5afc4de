"""Every unit test runs under the guard: no programs, no network. A busy machine is no failure."""

from guard import pytest_runtest_call
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

__all__ = ["pytest_runtest_call"]
