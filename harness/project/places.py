"""Where things lie in a version: its root, what harness keeps below it, and what the repository may put there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.hints import toml_text

AIRFLOW_ROOT = "/opt/airflow"  # as in Airflow's own images
TMP = "/tmp"  # noqa: S108  each pod's own, unless they share one
RESERVED = ("artifacts", "logs")  # folders below the root that are on the version's volume
_ROOT = re.compile(r"/[A-Za-z0-9_./-]{1,100}")
_HOME = "/home/airflow"  # of the user of Airflow's own image
_TOPS = ("/media", "/mnt", "/opt", "/root", "/srv")
_SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/home/airflow", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys"),
    *("/tmp", "/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/share", "/var"),  # noqa: S108
)


@dataclass(frozen=True)
class CodeFiles:
    """Which files of the repository an image has, and where: those below `code`, at `root`.

    `paths` gives every path of the commit, folders too, and `read` a file's text: they are asked only where something
    was not found. `shared`: the folders below the root that all tasks see, as they see `/tmp` where that is shared.
    """

    root: str = AIRFLOW_ROOT
    code: tuple[str, ...] = ("dags",)
    paths: Callable[[], Sequence[str]] = tuple
    shared: tuple[str, ...] = ()
    shared_tmp: bool = False
    read: Callable[[str], str | None] = lambda _: None

    def in_image(self, path: str) -> bool:
        """Whether the image has a path of the repository."""
        return any(PurePosixPath(path).is_relative_to(each) for each in self.code)

    def with_code(self, path: str) -> str:
        """The line of [image] that brings a path into the image: by its top folder, or itself where it is in none."""
        added = () if self.in_image(path) else (PurePosixPath(path).parts[0],)
        return f"code = [{', '.join(map(toml_text, (*self.code, *added)))}]"

    def with_shared(self, folder: str) -> str:
        """The line of [image] that lets all tasks see a folder; empty where none may be shared there."""
        path = PurePosixPath(folder)
        if any(PurePosixPath(each).is_relative_to(path) for each in self.code if each != "."):
            return ""  # it holds code
        inner = [each for each in self.shared if not PurePosixPath(each).is_relative_to(path)]
        return f"shared = [{', '.join(map(toml_text, (*inner, folder)))}]"

    def seen_by_all(self, path: str) -> str:
        """The folder on the version's volume that an absolute path lies in; empty where it lies in none."""
        places = [str(PurePosixPath(self.root, each)) for each in (*self.shared, *RESERVED)]
        places += [TMP] if self.shared_tmp else []
        return next((place for place in places if PurePosixPath(path).is_relative_to(place)), "")

    def place(self, path: str) -> str:
        """Where the image has it."""
        return str(PurePosixPath(self.root, path))


def in_repository(dags_folder: str, file: str) -> str:
    """A DAG file as the repository has it, of its path below the folder of the DAGs; an absolute path is left alone."""
    return file if dags_folder in {"", "."} else posixpath.join(dags_folder, file)


def airflow_root(value: str) -> str:
    """The folder that holds the code, Airflow's home. Raises ValueError for one that the system or harness needs."""
    path = PurePosixPath(value)
    if not _ROOT.fullmatch(value) or str(path) != value or ".." in path.parts:
        raise ValueError('expected an absolute path, such as "/usr/local/airflow"')
    taken = [PurePosixPath(each) for each in _SYSTEM]
    if any(path.is_relative_to(each) or each.is_relative_to(path) for each in taken):
        raise ValueError("the system has files of its own there: take a folder such as /usr/local/airflow")
    return value


def link_place(value: str) -> str:
    """An absolute path that a link may take outside the root. Raises ValueError for one that the system needs."""
    path = PurePosixPath(value)
    if not _ROOT.fullmatch(value) or str(path) != value or ".." in path.parts or len(path.parts) < 2:
        raise ValueError('expected a path below the root, or an absolute one, such as "/data"')
    if path == PurePosixPath(_HOME) or any(
        PurePosixPath(each).is_relative_to(path) for each in (*_SYSTEM, *_TOPS)
    ):
        raise ValueError("the system has files of its own there: a link can't take their place")
    taken = (PurePosixPath(each) for each in _SYSTEM if each != _HOME)
    if any(path.is_relative_to(each) for each in taken):
        raise ValueError("the system has files of its own there: name a folder such as /data")
    return value


def volume_folders(value: tuple[str, ...]) -> tuple[str, ...]:
    """Folders for the version's volume; raises ValueError where something else is mounted."""
    if "." in value:
        raise ValueError("the root as a whole can't be shared: name the folders that tasks write to")
    _refuse_reserved(value)
    return value


def not_hidden(value: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of code; raises ValueError for what a mount would hide."""
    _refuse_reserved(value)
    return value


def link_contradictions(
    links: Mapping[str, str], places: Iterable[str], root: str = AIRFLOW_ROOT
) -> Iterator[str]:
    """What is wrong with [image.links], where `places` are the paths of `code` and `shared` below `root`."""
    names = [PurePosixPath(name) for name in links]
    known = [PurePosixPath(place) for place in places]
    for name, target in links.items():
        link, end = PurePosixPath(name), PurePosixPath(target)
        if link.is_absolute() and (link.is_relative_to(root) or PurePosixPath(root).is_relative_to(link)):
            yield f"{name!r} is at or below the root, {root}: name it from there"
        elif link.parts[:1] in {(), *((each,) for each in RESERVED)}:
            yield f"{name!r} is a place of harness's own: give the link another name"
        elif not link.is_absolute() and any(
            place.parts and (link.is_relative_to(place) or place.is_relative_to(link)) for place in known
        ):
            yield f"{name!r} is where `code` or `shared` puts something already"
        elif any(link != other and link.is_relative_to(other) for other in names):
            yield f"{name!r} lies behind another link"
        elif known and not any(end.is_relative_to(place) or place.is_relative_to(end) for place in known):
            yield f"{name!r} leads to {target!r}, which neither `code` nor `shared` has"


def _refuse_reserved(value: tuple[str, ...]) -> None:
    taken = [path for path in value if PurePosixPath(path).parts[:1] in {(name,) for name in RESERVED}]
    if taken:
        raise ValueError(
            f"{', '.join(map(repr, taken))}: a version keeps files of its own in {' and '.join(RESERVED)} below "
            "its root, which would hide those of the repository; use another folder, or $HARNESS_ARTIFACTS_URL"
        )
