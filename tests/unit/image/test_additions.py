"""What a lock adds to an image that has packages: what it lacks or has otherwise, and nothing else."""

from __future__ import annotations

import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.image import tar
from harness.image.layer import Layer
from harness.image.oci import BaseImage
from harness.image.own.additions import additions_of, whiteout_layer
from harness.image.own.contents import Contents
from harness.image.own.docker_image import Known
from harness.image.own.own import OwnImage

HASH = " --hash=sha256:" + "0" * 64
NAMES = st.sampled_from(["pandas", "scikit-learn", "ml", "a-b", "zope.interface"])
VERSIONS = st.sampled_from(["1.0", "1.1", "2.0rc1"])


def image(packages: dict[str, str]) -> OwnImage:
    known = Known("sha256:0", (), (), {}, (), (), "", "amd64", 0, ())
    base = BaseImage((), "sha256:0", "usr/lib", architecture="amd64")
    return OwnImage(
        "Dockerfile",
        known,
        Contents("3.12", "python", "/usr/lib", "", "", 50000, "glibc", "/opt/airflow", packages),
        base,
    )


def lock(pins: dict[str, str]) -> bytes:
    return "".join(f"{name}=={version}{HASH}\n" for name, version in pins.items()).encode()


def test_what_is_there_stays_and_what_differs_gives_way() -> None:
    found = additions_of(
        lock({"pandas": "2.0", "Scikit_Learn": "1.0", "new": "1"}),
        image({"pandas": "2.0", "scikit-learn": "0.9"}),
    )
    assert found.lock.decode() == f"Scikit_Learn==1.0{HASH}\nnew==1{HASH}\n"
    assert found.replaced == ("scikit-learn",)


def test_markers_are_those_of_the_images_python() -> None:
    text = f"a==1 ; python_version < '3.12'{HASH}\nb==1 ; python_version >= '3.12'{HASH}\n"
    assert additions_of(text.encode(), image({"a": "0"})).lock.startswith(b"b==1")
    assert additions_of(text.encode(), image({"a": "0"})).replaced == ()


def test_what_has_no_version_is_always_put_on_it() -> None:
    text = f"ml @ https://example.com/ml-1.0-py3-none-any.whl{HASH}\n"
    assert additions_of(text.encode(), image({"ml": "1.0"})).replaced == ("ml",)


@given(st.dictionaries(NAMES, VERSIONS), st.dictionaries(NAMES, VERSIONS))
def test_together_they_are_the_lock(pins: dict[str, str], there: dict[str, str]) -> None:
    normal = {name.replace(".", "-"): version for name, version in there.items()}
    found = additions_of(lock(pins), image(normal))
    left = {name: version for name, version in normal.items() if name not in found.replaced}
    added = dict(line.split(HASH)[0].split("==") for line in found.lock.decode().splitlines())
    assert left.keys() & {name.replace(".", "-") for name in added} == set()
    for name, version in pins.items():
        assert added.get(name, left.get(name.replace(".", "-"))) == version


def test_what_gives_way_is_taken_out_and_folders_stay_as_they_are(tmp_path: Path) -> None:
    below = tmp_path / "below.tar"
    below.write_bytes(
        tar.header("home/", tar.DIRECTORY, mode=0o755)
        + tar.header("home/a/", tar.DIRECTORY, mode=0o2775, user_id=7)
        + tar.END
    )
    layer = whiteout_layer(["home/a/x.py", "home/a/y.py"], [Layer(below, "sha256:0", 0)], tmp_path)
    with tarfile.open(layer.path) as archive:
        members = {member.name: (member.mode, member.uid) for member in archive}
    assert members["home/a"] == (0o2775, 7)
    assert set(members) == {"home", "home/a", "home/a/.wh.x.py", "home/a/.wh.y.py"}
    assert whiteout_layer(["home/a/x.py", "home/a/y.py"], [Layer(below, "sha256:0", 0)], tmp_path) == layer
