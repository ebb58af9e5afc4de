"""Which Debian a root file system is made of, and from where."""

from __future__ import annotations

import re

from harness import versions
from harness.host.sources.debian import RootfsRecipe, sources_of
from harness.image.base.debian import BUILD_PACKAGES, recipe

LISTED = """\
Debian|http://mirror.test/debian/|bookworm|oldstable|main
Debian|http://mirror.test/debian/|bookworm|oldstable|main
Debian|http://mirror.test/debian/|bookworm-updates|oldstable-updates|main
Debian|http://mirror.test/debian-security/|bookworm-security|oldstable-security|main
Debian|http://mirror.test/debian/|bookworm-backports|oldstable-backports|main
Docker|https://docker.test/debian|bookworm|stable|stable
|http://nobody.test|||
"""


def test_the_machines_mirrors_are_asked_for_the_suite_that_is_wanted() -> None:
    assert sources_of(LISTED, "trixie") == [
        "deb http://mirror.test/debian/ trixie main",
        "deb http://mirror.test/debian/ trixie-updates main",
        "deb http://mirror.test/debian-security/ trixie-security main",
    ]
    assert sources_of("", "bookworm") == []


def test_each_python_has_the_debian_that_has_it() -> None:
    found = {python: recipe(python) for python in versions.DEBIAN_OF_PYTHON}
    assert found["3.11"].suite == versions.DEBIAN
    assert len({each.key for each in found.values()}) == len(found)


def test_packages_make_another_base_whatever_their_order() -> None:
    keys = {recipe("3.11", names).key for names in ((), ("libpq5",), ("libpq5", "git"), ("git", "libpq5"))}
    assert len(keys) == 3


def test_no_compiler_gets_into_the_base_of_versions() -> None:
    assert not set(BUILD_PACKAGES) & set(recipe("3.11", ("libpq-dev",)).packages)


def test_a_recipes_key_is_a_name_for_files() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", RootfsRecipe("x", ("y",), suite="trixie").key)
