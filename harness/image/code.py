"""A commit's code as image layers, made so that a small change of the code makes a small new layer."""

from __future__ import annotations

import difflib
import hashlib
import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commit import Commit
from harness.errors import CauseCode, HarnessError
from harness.image import tar
from harness.image.code_files import CodeFile, code_files
from harness.image.layer import Layer, Member, check_link, check_name, recall, remember, write_layer

if TYPE_CHECKING:
    from harness.config import ImageSettings

CODE_ROOT = "opt/airflow"
FORMAT = "code-1"  # part of every key: raise it when the same files make other layers

CODE_FAMILY_LIMIT_BYTES = 1 << 20
CODE_BUCKET_BYTES = 64 << 10
DATA_BUCKET_BYTES = 16 << 20
BUCKET_LIMIT = 16


def code_layers(commit: Commit, settings: ImageSettings, *, store: Path) -> tuple[Layer, ...]:
    """The layers with the code paths' files at /opt/airflow, from the one least likely to change upwards.

    They follow from the files alone, the same on every machine. Layers that `store` has are not made again.
    Raises HarnessError: CODE_NOT_FOUND, CODE_INCOMPLETE, DISK_FULL.
    """
    paths = sorted({posixpath.normpath(path) for path in settings.code})
    key = _key([FORMAT, *(_identity(commit, path) for path in paths)])
    # a working tree's submodules may have changes that its tree does not tell of: look each time
    if not commit.is_working_tree and (known := recall(store, key)) is not None:
        return known
    with ExitStack() as opened:
        files = code_files(commit, paths, opened)
        for file in files:
            check_name(file.path)
            if file.target is not None:
                check_link(file.path, file.target, ["" if path == "." else path for path in paths])
        layers = tuple(_bucket_layer(bucket, store) for bucket in split(files))
    remember(store, key, layers)
    return layers


def split(files: Iterable[CodeFile]) -> list[list[CodeFile]]:
    """Which files share a layer: data first, code last, so that a change of code leaves the layers below it.

    Python files are code, unless those of one folder are more than 1 MiB; of all others, those endings are
    code whose files come to the least, up to 1 MiB together. Both kinds are spread over at most 16 layers by
    the digest of their paths, more layers the more bytes there are.
    """
    code, data = _code_and_data(files)
    return [*_spread(data, DATA_BUCKET_BYTES), *_spread(code, CODE_BUCKET_BYTES)]


def _code_and_data(files: Iterable[CodeFile]) -> tuple[list[CodeFile], list[CodeFile]]:
    python: dict[str, list[CodeFile]] = defaultdict(list)
    others: dict[str, list[CodeFile]] = defaultdict(list)
    for file in files:
        folder, name = posixpath.split(file.path)
        ending = posixpath.splitext(name)[1]
        (python[folder] if ending == ".py" else others[ending]).append(file)
    code: list[CodeFile] = []
    data: list[CodeFile] = []
    for family in python.values():
        (code if _weight(family) <= CODE_FAMILY_LIMIT_BYTES else data).extend(family)
    weight = 0
    for _, family in sorted(others.items(), key=lambda item: (_weight(item[1]), item[0])):
        weight += _weight(family)
        (code if weight <= CODE_FAMILY_LIMIT_BYTES else data).extend(family)
    return code, data


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


def _bucket_layer(bucket: Sequence[CodeFile], store: Path) -> Layer:
    contents = [[file.path, file.identity, file.executable, file.target] for file in bucket]
    key = _key([FORMAT, contents])
    if (known := recall(store, key)) is not None:
        return known[0]
    layer = write_layer(map(_member, bucket), store=store, roots=(CODE_ROOT,))
    remember(store, key, [layer])
    return layer


def _member(file: CodeFile) -> Member:
    name = posixpath.join(CODE_ROOT, file.path)
    if file.target is not None:
        return Member(name, target=file.target)
    return Member(name, file.size_bytes, executable=file.executable, chunks=file.chunks)


def _identity(commit: Commit, path: str) -> list[str]:
    entry = commit.entry(path)
    if entry is None:
        raise _not_found(commit, path)
    return [path, entry.mode, entry.object_id]


def _not_found(commit: Commit, path: str) -> HarnessError:
    place = "the working tree" if commit.is_working_tree else f"commit {commit.sha[:12]} ({commit.ref})"
    known = commit.paths()
    near = difflib.get_close_matches(path, known, n=3)
    inside = next((name for name in known if path.startswith(f"{name}/")), None)
    if near:
        hint = f"did you mean {' or '.join(f'`{name}`' for name in near)}? Set `code` under [image]"
    elif inside is not None:
        hint = f"{inside} is a submodule or a file: name it as a whole in `code` under [image]"
    elif (commit.repository.root / path).exists():
        hint = (
            f"git check-ignore --verbose {path}"
            if commit.is_working_tree
            else f"git add {path} && git commit"
        )
    else:
        hint = "set `code` under [image] to paths that the repository has"
    return HarnessError(CauseCode.CODE_NOT_FOUND, f"there is no `{path}` in {place}", hint=hint)


def _key(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()
