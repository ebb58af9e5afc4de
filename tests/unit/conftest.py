"""Every unit test runs under the guard: no programs, no network."""

from guard import pytest_runtest_call

__all__ = ["pytest_runtest_call"]
