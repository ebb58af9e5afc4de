"""Packages of a lock that have no wheel: built once, in a container with the base's own Python."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from harness.errors import CauseCode, HarnessError, refusal
from harness.host import cache, process
from harness.host.sources import ca_bundle, download
from harness.host.sources.debian import EPOCH_S
from harness.image.base import debian as base_image
from harness.image.dependencies import index_login
from harness.image.dependencies.lock_file import requirements
from harness.image.layer import CHUNK_BYTES
from harness.image.lock.target import Target
from harness.image.oci import BaseImage

FORMAT = 1  # raise when what _build() does changes
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_SOURCE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*@\s*(?P<url>[^\s;]+)\s*(?:;(?P<marker>.*?))?\s*"
    r"(?P<hashes>(?:\s--hash=\S+)*)"
)
# Nobody is asked, and a server that falls silent is given up.
_GIT_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second
    "GIT_HTTP_LOW_SPEED_TIME": "60",
}
# Given to the container by name, so that no value stands in an argument list.
_PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
           "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL")  # fmt: skip
# Reads a tar of the folder `build` from stdin, and writes one of the wheels to stdout.
_PROGRAM = """
set -e
tar --extract --no-same-owner --directory /
sh /build/build_wheel.sh >&2
exec tar --create --directory /build/wheel .
"""
_SETTINGS = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "HOME": "/build/home",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": str(EPOCH_S),
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "TZ": "UTC",
    "UV_CACHE_DIR": "/build/cache",
    "UV_LINK_MODE": "copy",
    "UV_NO_CONFIG": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}


@dataclass(frozen=True)
class Source:
    """A package's source: an archive by its SHA-256, or a Git URL at its commit."""

    name: str
    url: str
    sha256: str = ""

    @property
    def is_git(self) -> bool:
        return self.url.startswith("git+")

    @property
    def folder(self) -> str:
        """Where in it the package lies."""
        return dict(parse_qsl(urlsplit(self.url).fragment)).get("subdirectory", "")


def split(lock: bytes, *, python: str, architecture: str) -> tuple[bytes, tuple[Source, ...]]:
    """The lock's lines that uv installs as they are, and what has to be built from source."""
    target = Target(python, MACHINES[architecture])
    kept, found = [], []
    for line in requirements(lock.decode("utf-8-sig")):
        source = _SOURCE.fullmatch(line)
        if source is None or source["url"].partition("#")[0].endswith(".whl"):
            kept.append(line)
        elif target.takes((source["marker"] or "").strip()):
            digest = re.search(r"--hash=sha256:([0-9a-f]{64})", source["hashes"] or "")
            found.append(Source(source["name"], source["url"], digest[1] if digest else ""))
    return "".join(f"{line}\n" for line in kept).encode(), tuple(found)


def sources(lock: bytes, *, python: str, architecture: str) -> tuple[Source, ...]:
    """What of a lock has to be built from source."""
    return split(lock, python=python, architecture=architecture)[1]


def wheels(
    wanted: Sequence[Source],
    *,
    tools: BaseImage,
    as_of: str,
    on_line: Callable[[str], None],
    log: Path,
) -> list[Path]:
    """A wheel of each source, built once per base and build tools as of `as_of`.

    Raises HarnessError: BUILD_FAILED with the compiler's words, SOURCE_UNREACHABLE, CHECKSUM_MISMATCH.
    """
    made = []
    for source in wanted:
        inputs = [FORMAT, source.url, source.sha256, tools.digest, as_of]
        key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]
        with cache.build("wheels", key, on_wait=on_line) as folder:
            if folder is not None:
                on_line(f"building {source.name} from source")
                _build(source, folder, tools, as_of, log)
        made += sorted(cache.entry("wheels", key).glob("*.whl"))
    return made


def _build(source: Source, folder: Path, tools: BaseImage, as_of: str, log: Path) -> None:
    import uv

    work = folder / "build"
    work.mkdir()
    if source.is_git:
        _clone(source, work / "source")
    else:
        _fetch(source, work)
    script = files("harness") / "image/dependencies/build_wheel.sh"
    (work / "build_wheel.sh").write_bytes(script.read_bytes())
    shutil.copy(uv.find_uv_bin(), work / "uv")
    settings = _SETTINGS | {"FOLDER": source.folder, "AS_OF": as_of}
    if bundle := ca_bundle.find():
        (work / "certificates.crt").write_bytes(bundle.content())
        settings["SSL_CERT_FILE"] = "/build/certificates.crt"
    given, made = folder / "given.tar", folder / "made.tar"
    with tarfile.open(given, "w") as tar:
        tar.add(work, "build")
    shutil.rmtree(work)
    # Nothing of this machine is mounted: the daemon may be another user, in a sandbox, or in a virtual machine.
    # One that maps users has the host's network for the host's users alone, and its files are another user's then.
    argv = [
        "docker", "run", "--rm", "--interactive", "--network", "host", "--userns", "host", "--user", "0:0",
        "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--security-opt", "no-new-privileges",
        *(word for name in _PASSED if name in os.environ for word in ("--env", name)),
        *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
        "--entrypoint", "sh", base_image.in_docker(tools), "-c", _PROGRAM,
    ]  # fmt: skip
    with given.open("rb") as file:
        done = process.run_bytes(argv, stdin=iter(lambda: file.read(CHUNK_BYTES), b""), output=made)
    given.unlink()
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(argv[:-1])} …\n{done.stderr}")
    if done.returncode != 0 or not _take(made, folder):
        raise _not_built(source, done.stderr.splitlines(), log)
    made.unlink()


def _take(made: Path, folder: Path) -> bool:
    """Put the wheels that came out into the folder; whether there was any."""
    found = False
    with suppress(tarfile.ReadError), tarfile.open(made) as archive:  # cut off, or nothing at all
        for member in archive:
            name = member.name.rpartition("/")[2]
            content = archive.extractfile(member) if member.isreg() and name.endswith(".whl") else None
            if content is not None:
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
                found = True
    return found


def _not_built(source: Source, lines: Sequence[str], log: Path) -> HarnessError:
    """Why a package could not be built: often a header or program that Debian has in a package of its own."""
    said = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
    telling = next(
        (line for line in said if re.search(r"fatal error:|command not found|not found\b|error: ", line)), ""
    )
    header = re.search(r"fatal error: (\S+\.h)", telling)
    needed = "the Debian package with it" if header is None else f"the Debian package with {header[1]}"
    return HarnessError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        f"{source.name} has no wheel, and can't be built from source: {telling or (said or ['it said nothing'])[-1]}",
        evidence=said[-12:],
        hint=f'add {needed} under [image], such as system_packages = ["libpq-dev"]; less {shlex.quote(str(log))}',
    )


def _clone(source: Source, target: Path) -> None:
    """The repository at its commit, which its id vouches for; with the user's own Git credentials."""
    address, _, rest = source.url.removeprefix("git+").rpartition("@")
    commit = rest.partition("#")[0]
    for argv in (
        ["git", "clone", "--quiet", "--no-checkout", "--", address, str(target)],
        ["git", "-C", str(target), "checkout", "--quiet", "--detach", commit],
        ["git", "-C", str(target), "submodule", "--quiet", "update", "--init", "--recursive"],
    ):
        done = process.run(argv, check=False, env=_GIT_SETTINGS)
        if done.returncode != 0:
            what = f"{source.name} can't be had from {address} at {commit[:12]}"
            raise refusal(
                CauseCode.SOURCE_UNREACHABLE,
                what,
                done.stderr,
                hint=f"git ls-remote {shlex.quote(address)}",
                hint_when_full="df -h; harness gc",
            )


def _fetch(source: Source, work: Path) -> None:
    """The archive, unpacked into `source`; whatever it holds besides one folder is refused."""
    path = urlsplit(source.url).path
    archive = work / ("source.zip" if path.endswith(".zip") else "source.tar")
    with download.client() as http:
        download.fetch(
            http,
            source.url.partition("#")[0],
            archive,
            source.sha256,
            headers=index_login.headers(source.url),
        )
    unpacked = work / "unpacked"
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(unpacked)  # noqa: S202  which keeps every name below the folder
        else:
            with tarfile.open(archive) as opened_tar:
                opened_tar.extractall(unpacked, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise HarnessError(
            CauseCode.DEPENDENCIES_UNRESOLVED,
            f"{source.name}: {path.rpartition('/')[2]} is no archive that can be unpacked: {error}",
            hint="harness lock --upgrade",
        ) from error
    inside = list(unpacked.iterdir())
    (inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked).rename(work / "source")
    archive.unlink()
