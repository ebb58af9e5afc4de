"""A commit's code as image layers, made so that a small change of the code makes a small new layer."""

from __future__ import annotations

import difflib
import hashlib
import json
import posixpath
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.errors import CauseCode, HarnessError
from harness.image import tar
from harness.image.base.debian import USER_ID
from harness.image.code_files import CodeFile, code_files
from harness.image.layer import Layer, Member, check_link, check_name, recall, remember, write_layer
from harness.project.commit import GITLINK, Commit
from harness.project.places import AIRFLOW_ROOT, RESERVED

if TYPE_CHECKING:
    from harness.project.image_settings import ImageSettings

FORMAT = "code-2"  # part of every key: raise it when the same files make other layers

KIND_LIMIT_BYTES = 1 << 20  # of one folder's Python files, and of all other files that are not data
CODE_BUCKET_BYTES = 64 << 10
DATA_BUCKET_BYTES = 16 << 20
BUCKET_LIMIT = 16


def code_layers(commit: Commit, settings: ImageSettings, *, store: Path) -> tuple[Layer, ...]:
    """The layers with the code paths' files at the root, from the one least likely to change upwards.

    They follow from the files alone, the same on every machine. Layers that `store` has are not made again.
    Raises HarnessError: CODE_NOT_FOUND, CODE_INCOMPLETE, DISK_FULL.
    """
    paths = sorted({posixpath.normpath(path) for path in settings.code})
    root = settings.root.removeprefix("/")
    key = _key([FORMAT, *(_identity(commit, path) for path in paths), *_arrangement(settings)])
    known = recall(store, key)
    # the working tree's submodules may have changes that its tree does not tell of: look each time
    if known is not None and not (commit.is_working_tree and commit.has_submodules(paths)):
        return known
    with ExitStack() as opened:
        files = code_files(commit, paths, opened)
        for file in files:
            check_name(file.path)
            if file.target is not None:
                check_link(file.path, file.target, ["" if path == "." else path for path in paths])
        _refuse_hidden(files)
        layers = tuple(_bucket_layer(bucket, root, store) for bucket in split(files))
    if settings.links:
        layers += (_links(settings.links, root, store),)
    remember(store, key, layers)
    return layers


def split(files: Iterable[CodeFile]) -> list[list[CodeFile]]:
    """Which files share a layer, from the lowest one: data, then small other files, then Python.

    The files of one kind are spread over at most 16 layers by the digest of their paths, over more layers the
    more bytes there are. A change makes one new layer; those above it are only unpacked again.
    """
    python: dict[str, list[CodeFile]] = defaultdict(list)
    others: dict[str, list[CodeFile]] = defaultdict(list)
    for file in files:
        folder, name = posixpath.split(file.path)
        ending = posixpath.splitext(name)[1]
        if ending == ".py":
            python[folder].append(file)
        else:  # part.0001, part.0002, …: numbers are no ending
            others[ending if ending[1:2].isalpha() else ""].append(file)
    code, heavy = _lightest(python, KIND_LIMIT_BYTES, together=False)
    small, large = _lightest(others, KIND_LIMIT_BYTES, together=True)
    return [
        *_spread([*large, *heavy], DATA_BUCKET_BYTES),
        *_spread(small, CODE_BUCKET_BYTES),
        *_spread(code, CODE_BUCKET_BYTES),
    ]


def _lightest(
    families: Mapping[str, list[CodeFile]], limit_bytes: int, *, together: bool
) -> tuple[list[CodeFile], list[CodeFile]]:
    """The files of the families of at most `limit_bytes`, each or all `together`, and all other files."""
    light: list[CodeFile] = []
    rest: list[CodeFile] = []
    taken = 0
    for weight, _, family in sorted((_weight(family), name, family) for name, family in families.items()):
        taken = taken + weight if together else weight
        (light if taken <= limit_bytes else rest).extend(family)
    return light, rest


def _spread(files: Sequence[CodeFile], bucket_bytes: int) -> list[list[CodeFile]]:
    count = 1
    while count < BUCKET_LIMIT and _weight(files) > count * bucket_bytes:
        count *= 2  # doubled, each bucket splits in two and none of the rest moves
    buckets: list[list[CodeFile]] = [[] for _ in range(count)]
    for file in files:
        buckets[hashlib.sha256(file.path.encode()).digest()[0] % count].append(file)
    return [sorted(bucket, key=lambda file: file.path) for bucket in buckets if bucket]


def _weight(files: Iterable[CodeFile]) -> int:
    return sum(tar.BLOCK_BYTES + tar.content_bytes(file.size_bytes) for file in files)


def _bucket_layer(bucket: Sequence[CodeFile], root: str, store: Path) -> Layer:
    contents = [[file.path, file.identity, file.executable, file.target] for file in bucket]
    key = _key([FORMAT, contents, *_elsewhere(root)])
    if (known := recall(store, key)) is not None:
        return known[0]
    # A team's own image lets tasks write beside their code; what they write goes with their pod.
    layer = write_layer(
        (_member(file, root) for file in bucket), store=store, roots=(root,), writer_id=USER_ID
    )
    remember(store, key, [layer])
    return layer


def _links(links: Mapping[str, str], root: str, store: Path) -> Layer:
    """The links from where the team's own image has a folder to where it is here, below the root."""
    members = []
    for name, target in links.items():
        place = name.removeprefix("/") if name.startswith("/") else posixpath.join(root, name)
        end = posixpath.relpath(posixpath.join(root, target), posixpath.dirname(place) or ".")
        members.append(Member(place, target=end))
    return write_layer(members, store=store, roots=(root,), writer_id=USER_ID)


def _arrangement(settings: ImageSettings) -> list[object]:
    """What of [image], besides the files, decides how the layers come out; nothing for most."""
    links = [sorted(settings.links.items())] if settings.links else []
    return [*_elsewhere(settings.root.removeprefix("/")), *links]


def _elsewhere(root: str) -> list[object]:
    return [] if f"/{root}" == AIRFLOW_ROOT else [root]


def _refuse_hidden(files: Iterable[CodeFile]) -> None:
    """Raises HarnessError(CONFIG_INVALID) for files that a version's volume would hide."""
    hidden = [file.path for file in files if file.path.split("/")[0] in RESERVED]
    if hidden:
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"[image] code: {hidden[0]}{more} would be hidden by the version's own {' and '.join(RESERVED)}",
            evidence=hidden[:20],
            hint="name the folders that DAGs need in `code` under [image], in place of the whole repository",
        )


def _member(file: CodeFile, root: str) -> Member:
    name = posixpath.join(root, file.path)
    if file.target is not None:
        return Member(name, target=file.target)
    return Member(name, file.size_bytes, executable=file.executable, chunks=file.chunks)


def _identity(commit: Commit, path: str) -> list[str]:
    entry = commit.entry(path)
    if entry is None:
        raise _not_found(commit, path)
    return [path, entry.mode, entry.object_id]


def _not_found(commit: Commit, path: str) -> HarnessError:
    above = (commit.entry(str(parent)) for parent in PurePosixPath(path).parents)
    submodule = next((entry.path for entry in above if entry is not None and entry.mode == GITLINK), None)
    near = difflib.get_close_matches(path, commit.paths(), n=3)
    quoted = shlex.quote(path)
    if submodule is not None:
        hint = f"{submodule} is a submodule: name it as a whole in `code` under [image]"
    elif near:
        hint = f"did you mean {' or '.join(f'`{name}`' for name in near)}? Set `code` under [image]"
    elif (commit.repository.root / path).exists():
        ignored = f"git check-ignore --verbose {quoted}"
        hint = ignored if commit.is_working_tree else f"git add {quoted} && git commit"
    else:
        hint = "set `code` under [image] to paths that the repository has"
    return HarnessError(CauseCode.CODE_NOT_FOUND, f"there is no `{path}` in {commit.place}", hint=hint)


def _key(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()
