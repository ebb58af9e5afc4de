"""What a lock is for: Linux, one Python, both architectures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

# By the name that `platform_machine` has in markers.
GLIBC_MINOR = 28  # 2.28, as uv is told
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_28"}


@dataclass(frozen=True)
class Target:
    """One kind of machine that the packages are for."""

    python: str
    machine: str = "x86_64"

    @property
    def platform(self) -> str:
        """As uv calls it."""
        return PLATFORMS[self.machine]

    def takes(self, marker: str) -> bool:
        """Whether a requirement with that marker counts here; one that can't be read does."""
        if not marker:
            return True
        environment = {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }
        try:
            return Marker(marker).evaluate(environment)
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
            return True

    def takes_wheel(self, name: str) -> bool:
        """Whether a wheel of that file name installs here."""
        try:
            tags = parse_wheel_filename(unquote(name))[3]
        except InvalidWheelFilename:
            return False
        return bool(tags & _tags(self.python, self.machine))

    def takes_python(self, specifier: str) -> bool:
        """Whether a package with that `requires-python` runs here; one that can't be read does."""
        try:
            any_python = specifier.strip() == "*"  # as Poetry writes it
            return any_python or SpecifierSet(specifier).contains(f"{self.python}.20", prereleases=True)
        except InvalidSpecifier:
            return True


@cache
def _tags(python: str, machine: str) -> frozenset[Tag]:
    """What wheels for that Python and machine may be tagged with, as glibc 2.28 and later take them."""
    version = [int(part) for part in python.split(".")]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    platforms += [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
    own = cpython_tags(version, platforms=platforms)
    return frozenset((*own, *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms)))
