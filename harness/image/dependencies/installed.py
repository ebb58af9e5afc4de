"""The lock file as a layer: installed by uv, compiled to bytecode by the image's own Python."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CauseCode, HarnessError, refusal
from harness.host import cache, process
from harness.image.dependencies import source
from harness.image.dependencies.bytecode import compile_packages
from harness.image.dependencies.lock_file import HINT
from harness.image.layer import Layer, layer_from_directory, recall, remember
from harness.image.lock import lock_text, uv_program
from harness.image.oci import BaseImage

FORMAT = 3  # raise when what _install() does changes
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
MIGRATIONS = "migrations"
SCRIPTS = "bin"  # where `uv pip install --target` puts them, below the target
PYTHON_IN_IMAGE = "#!/usr/bin/env python3\n"


@dataclass(frozen=True)
class Dependencies:
    """A lock file's packages as layers, one unless the base has packages of its own.

    `migrations` is a digest of the database migrations among them; empty without any.
    """

    layers: tuple[Layer, ...]
    migrations: str


def dependencies(
    lock: bytes,
    *,
    origin: str,
    base: BaseImage,
    python: str,
    architecture: str,
    on_line: Callable[[str], None],
    log: Path,
    tools: Callable[[], BaseImage],
) -> Dependencies:
    """The packages of a hashed lock file, installed and packed once per lock and base.

    `origin` names the lock in messages; `tools` gives the base with compilers, for packages that have no wheel.
    Raises HarnessError(DEPENDENCIES_UNRESOLVED) when uv cannot install it or a package can't be built, BUILD_FAILED
    when compiling to bytecode fails.
    """
    key = _key(lock, base, python, architecture)
    store = _store()
    with cache.build("dependencies", key, on_wait=on_line) as target:
        if target is not None:
            wheels_only, sources = source.split(lock, python=python, architecture=architecture)
            built: list[Path] = []
            if sources:
                as_of = lock_text.as_of(lock)
                built = source.wheels(sources, tools=tools(), as_of=as_of, on_line=on_line, log=log)
            on_line("installing the lock file's packages")
            _install(wheels_only, origin, target / "packages", python, architecture, log)
            if built:
                _add(built, target / "packages", python, architecture, log)
            _normalize(target / "packages")
            (target / MIGRATIONS).write_text(_migrations(target / "packages"), encoding="utf-8")
            on_line("compiling the packages to bytecode")
            compile_packages(target / "packages", base, log)
            on_line("packing the dependency layer")
            remember(store, key, [_pack(target, base, store)])
    found = built_dependencies(lock, base=base, python=python, architecture=architecture)
    if found is None:  # the store was emptied after the build
        cache.discard("dependencies", key)
        return dependencies(
            lock,
            origin=origin,
            base=base,
            python=python,
            architecture=architecture,
            on_line=on_line,
            log=log,
            tools=tools,
        )
    return found


def built_dependencies(
    lock: bytes, *, base: BaseImage, python: str, architecture: str
) -> Dependencies | None:
    """What `dependencies` gives if it was built before and is still there, else None."""
    key = _key(lock, base, python, architecture)
    layers = recall(_store(), key)
    migrations = cache.entry("dependencies", key) / MIGRATIONS
    if layers is None or not migrations.exists():
        return None
    return Dependencies(layers, migrations.read_text(encoding="utf-8"))


def _key(lock: bytes, base: BaseImage, python: str, architecture: str) -> str:
    inputs = json.dumps([FORMAT, hashlib.sha256(lock).hexdigest(), base.digest, python, architecture])
    return hashlib.sha256(inputs.encode()).hexdigest()[:32]


def _store() -> Path:
    return cache.root() / "layers"


def _install(lock: bytes, origin: str, target: Path, python: str, architecture: str, log: Path) -> None:
    target.mkdir()
    file = target.parent / "requirements.lock"
    file.write_bytes(lock)
    asked = ["--require-hashes", "--only-binary", ":all:", "--requirements", str(file)]
    done = _uv_install(asked, target, python, architecture, log)
    if done.returncode != 0:
        raise _not_installed(done.stderr, origin, python, architecture)
    file.unlink()


def _add(built: Sequence[Path], target: Path, python: str, architecture: str, log: Path) -> None:
    """Put wheels that were built from source beside the others."""
    done = _uv_install([str(wheel) for wheel in built], target, python, architecture, log)
    if done.returncode != 0:
        what = "what was built from source can't be installed"
        raise refusal(
            CauseCode.BUILD_FAILED,
            what,
            done.stderr,
            hint=f"less {shlex.quote(str(log))}",
            hint_when_full="df -h",
        )


def _uv_install(
    asked: Sequence[str], target: Path, python: str, architecture: str, log: Path
) -> process.Completed:
    import uv

    argv = [
        uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps",
        "--target", str(target), "--python-version", python, "--python-platform", PLATFORMS[architecture],
        "--link-mode", "hardlink", *asked,
    ]  # fmt: skip
    # The user's own uv settings count (indexes, credentials), no project's.
    done = process.run(argv, check=False, cwd=target.parent, env=uv_program.environment())
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(argv)}\n{done.stdout}{done.stderr}")
    return done


def _not_installed(stderr: str, origin: str, python: str, architecture: str) -> HarnessError:
    """Why uv could not install a lock: the disk, the package index, or the lock itself."""
    said = uv_program.Said.of(stderr)
    return said.of_machine(origin) or HarnessError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        f"the packages of {origin} can't be installed for Python {python} on Linux {architecture}: {said.reason}",
        evidence=said.lines[:12],
        hint=HINT,
    )


def _normalize(target: Path) -> None:
    """Take out what differs between machines: interpreters in scripts, and the records that list them."""
    scripts = target / SCRIPTS
    for script in sorted(scripts.iterdir()) if scripts.is_dir() else []:
        content = script.read_bytes() if script.is_file() else b""
        if not content.startswith(b"#!"):
            continue
        first, _, rest = content.partition(b"\n")
        if b"python" in first:
            text = PYTHON_IN_IMAGE.encode() + rest
        elif b"/bin/sh" in first and b"'''exec'" in rest:  # the form for interpreters with a long path
            text = PYTHON_IN_IMAGE.encode() + rest.split(b"' '''\n", 1)[-1]
        else:
            continue
        _replace(script, text, executable=True)
    for record in target.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
        kept = sorted(
            row
            for row in rows
            if row
            and not row[0].startswith((f"{SCRIPTS}/", "../"))
            and not row[0].endswith((".pyc", "uv_cache.json"))
        )
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(kept)
        _replace(record, buffer.getvalue().encode())
    for name in ("uv_cache.json", "REQUESTED", "direct_url.json"):
        for path in target.glob(f"*.dist-info/{name}"):
            path.unlink()
    (target / ".lock").unlink(missing_ok=True)


def _migrations(packages: Path) -> str:
    """What decides how a migrated database looks: Airflow's migrations and those that providers bring."""
    digest = hashlib.sha256()
    paths = sorted(packages.glob("airflow/**/migrations/versions/*.py"))
    for path in paths:
        digest.update(path.relative_to(packages).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16] if paths else ""


def _replace(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write a new file in place of the old one, which may be a hard link into uv's own cache."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.chmod(0o755 if executable else 0o644)
    partial.replace(path)


def _pack(folder: Path, base: BaseImage, store: Path) -> Layer:
    """Arrange the packages as the image has them: modules in site-packages, scripts on PATH."""
    root = folder / "root"
    site = root / base.site_directory
    site.parent.mkdir(parents=True)
    (folder / "packages").rename(site)
    if (site / SCRIPTS).is_dir():
        (root / "usr/local").mkdir(parents=True, exist_ok=True)
        (site / SCRIPTS).rename(root / "usr/local/bin")
    layer = layer_from_directory(root, "", store=store)
    shutil.rmtree(root)
    return layer
