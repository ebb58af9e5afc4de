"""A Dockerfile, built by Docker at the commit's files: nothing of the working directory gets in."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import cache, disk, process, scratch
from harness.image import tar
from harness.image.code_files import CodeFile, code_files
from harness.image.layer import check_name
from harness.image.own.docker_image import Known, brought, known
from harness.project.commit import DIRECTORY, Commit
from harness.project.dockerfile_text import base_and_stage, instructions
from harness.project.image_settings import ImageSettings
from harness.project.named_file import named_text

FORMAT = 1  # raise when the same files are built in another way
REPOSITORY = "harness.local/dockerfile"
SHOWN_LINES = 12
# Docker hands these on without keeping them in the image: https://docs.docker.com/reference/dockerfile/#predefined-args
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_STEP = re.compile(r"(?:Step \d+/\d+ :|#\d+ \[[^\]]*\]) (?P<step>[A-Z]+\b.*)")
# What Docker adds to the words of the program that failed.
_ENDED = re.compile(
    r"returned a non-zero code: \d+$|did not complete successfully|^-{4,}$|^Dockerfile:\d+$|^ *\d+ \|"
)
_NETWORK = re.compile(
    r"temporary failure in name resolution|could not resolve|no such host|timed? ?out|connection (refused|reset)"
    r"|network is unreachable|certificate verify failed|TLS handshake",
    re.IGNORECASE,
)
_COPY_FROM = re.compile(r"(?:--\S+\s+)*--from=(?P<image>\S+)")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))")


@dataclass(frozen=True)
class Recipe:
    """What is built: the Dockerfile's text, the files that Docker gets, and what both are known by."""

    text: str
    files: tuple[CodeFile, ...]
    context: str
    bases: tuple[str, ...]
    key: str


def built(commit: Commit, settings: ImageSettings, *, on_line: Callable[[str], None], log: Path) -> Known:
    """The image of the commit's Dockerfile; built unless its files, arguments and bases were built before.

    Raises HarnessError: CODE_NOT_FOUND, CODE_INCOMPLETE, SOURCE_UNREACHABLE, DISK_FULL; DOCKERFILE_FAILED with
    the step.
    """
    with ExitStack() as opened:
        recipe = recipe_of(commit, settings, opened, on_line=on_line, log=log)

        def make(folder: Path) -> None:
            image = _build(recipe, settings, on_line, log)
            (folder / "image.json").write_text(json.dumps(asdict(image)), encoding="utf-8")

        folder = cache.obtain("dockerfiles", recipe.key, make, on_wait=on_line)
    told = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    return Known(**{**told, **lists})


def forget(image: Known) -> None:
    """Build it anew the next time: Docker has it no longer, nor has the cache."""
    for folder in (cache.root() / "dockerfiles").glob("*/image.json"):
        if json.loads(folder.read_text(encoding="utf-8"))["identity"] == image.identity:
            cache.discard("dockerfiles", folder.parent.name)


def recipe_of(
    commit: Commit,
    settings: ImageSettings,
    opened: ExitStack,
    *,
    on_line: Callable[[str], None],
    log: Path,
) -> Recipe:
    """What the commit's Dockerfile is built from. Bases that Docker lacks are pulled."""
    name, context = settings.dockerfile or "", settings.context
    text = named_text(commit, name, "[image] dockerfile")
    entry = commit.entry(context)
    if entry is None or entry.mode != DIRECTORY:
        raise HarnessError(
            CauseCode.CODE_NOT_FOUND,
            f"[image] context: there is no folder `{context}` in {commit.place}",
            hint="set `context` under [image] to the folder that the Dockerfile copies from",
        )
    ignored = ignoring(commit, name, context)
    files = tuple(code_files(commit, (context,), opened, wanted=lambda path: not ignored(path)))
    bases = tuple(dict.fromkeys(named_images(text, settings.build_args)))
    identities = [_identity(base, on_line, log) for base in bases]
    parts = [
        FORMAT,
        text,
        [[file.path, file.identity, file.executable, file.target] for file in files],
        context,
        settings.target,
        sorted(settings.build_args.items()),
        identities,
    ]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return Recipe(text, files, context, bases, key)


def ignoring(commit: Commit, dockerfile: str, context: str) -> Callable[[str], bool]:
    """Whether Docker leaves out a path of the repository, as .dockerignore says; Docker's own library reads that."""
    names = (f"{dockerfile}.dockerignore", posixpath.normpath(posixpath.join(context, ".dockerignore")))
    content = next((found for name in names if (found := commit.read(name)) is not None), b"")
    lines = [line.strip() for line in content.decode(errors="replace").splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    if not patterns:
        return lambda _: False
    from docker.utils.build import PatternMatcher
    from docker.utils.fnmatch import fnmatchcase

    matcher = PatternMatcher(patterns)
    for pattern in matcher.patterns:  # Docker itself tells `data` from `Data`, its library does not
        pattern.match = partial(_swapped, fnmatchcase, pattern.cleaned_pattern)  # type: ignore[method-assign]
    # Its type stubs want a path, its code a text.
    return lambda path: bool(matcher.matches(posixpath.relpath(path, context)))  # type: ignore[arg-type]


def _swapped(matches: Callable[[str, str], bool], pattern: str, path: str) -> bool:
    return matches(path, pattern)


def named_images(text: str, arguments: dict[str, str]) -> Iterator[str]:
    """The images that a Dockerfile stands on or copies from, in their order; stages of its own are none."""
    values: dict[str, str] = {}
    stages = {"scratch", ""}
    seen_from = False
    for _, word, rest in instructions(text):
        if word == "ARG" and not seen_from:
            name, _, default = rest.partition("=")
            values[name] = arguments.get(name, default.strip("\"'"))
        elif word == "FROM":
            seen_from = True
            base, stage = base_and_stage(rest)
            image = _resolved(base, values)
            if image.lower() not in stages:
                yield image
            stages.add(stage.lower())
        elif word == "COPY" and (found := _COPY_FROM.match(rest)):
            image = _resolved(found["image"], values)
            if image.lower() not in stages and not image.isdigit():
                yield image


def _resolved(name: str, values: dict[str, str]) -> str:
    return _VARIABLE.sub(
        lambda found: values.get(found["braced"] or found["plain"], "") or found["default"] or "", name
    )


def _identity(base: str, on_line: Callable[[str], None], log: Path) -> str:
    found = brought(base, on_line=on_line, log=log)
    return found.identity if found else base


def _build(recipe: Recipe, settings: ImageSettings, on_line: Callable[[str], None], log: Path) -> Known:
    name = f"{REPOSITORY}:{recipe.key[:12]}"
    store = disk.folder(cache.root() / "contexts", variable=cache.ROOT_VARIABLE)
    with scratch.folder(store) as folder, disk.explained():
        context = folder / "context"
        on_line(f"writing the {len(recipe.files)} files that Docker gets")
        _write(recipe, context)
        (folder / "Dockerfile").write_text(recipe.text, encoding="utf-8")
        arguments = [f"{key}={value}" for key, value in settings.build_args.items()]
        arguments += [name for name in _PROXIES if name in os.environ and name not in settings.build_args]
        builder, env = _builder()
        argv = [
            "docker", *builder, "--file", str(folder / "Dockerfile"), "--tag", name,
            *(["--target", settings.target] if settings.target else []),
            *(word for argument in arguments for word in ("--build-arg", argument)),
            str(context),
        ]  # fmt: skip
        _run(argv, env, settings.dockerfile or "", on_line, log)
    found = known(name)
    if found is None:
        raise HarnessError(
            CauseCode.BUILD_FAILED,
            f"Docker built {settings.dockerfile} and did not keep the image",
            hint="docker buildx use default",
        )
    return found


def _builder() -> tuple[list[str], dict[str, str]]:
    """BuildKit where this Docker has it, else the builder that every Docker has."""
    if process.run(["docker", "buildx", "version"], check=False, timeout_s=30).returncode == 0:
        # One image, and not an index with a report of how it was built, which holds times.
        return ["buildx", "build", "--load", "--progress", "plain", "--provenance=false"], {}
    return ["build", "--force-rm"], {"DOCKER_BUILDKIT": "0"}  # also the container of a step that failed


def _run(
    argv: Sequence[str], env: dict[str, str], dockerfile: str, on_line: Callable[[str], None], log: Path
) -> None:
    step = ""
    said: list[str] = []

    def listen(line: str) -> None:
        nonlocal step
        if found := _STEP.search(line):
            step = found["step"]
        if line.strip():
            said.append(line)
            on_line(line)

    try:
        process.stream(argv, on_line=listen, env=env, log=log, cause=CauseCode.DOCKERFILE_FAILED)
    except process.ProgramError as error:
        raise failed(dockerfile, step, said, log) from error


def failed(dockerfile: str, step: str, said: Sequence[str], log: Path) -> HarnessError:
    """Why a Dockerfile could not be built: its step, and that step's last lines."""
    lines = [line for line in said if not line.startswith(("DEPRECATED:", "            Install the buildx"))]
    text = "\n".join(lines[-60:])
    cause, read = CauseCode.DOCKERFILE_FAILED, f"less {shlex.quote(str(log))}"
    hint = f"mend {dockerfile}; {read}"
    if "no space left" in text.lower():
        cause, hint = CauseCode.DISK_FULL, "docker system df; docker builder prune"
    elif _NETWORK.search(text):
        cause = CauseCode.SOURCE_UNREACHABLE
        hint = f"see that containers reach the network: docker run --rm IMAGE; proxies are handed on; {read}"
    where = f" at `{step if len(step) <= 100 else step[:97] + '…'}`" if step else ""
    telling = [line.strip() for line in lines if not _ENDED.search(line)]
    last = telling[-1] if telling else "Docker gave no reason"
    return HarnessError(
        cause, f"{dockerfile} can't be built{where}: {last}", evidence=lines[-SHOWN_LINES:], hint=hint
    )


def _write(recipe: Recipe, folder: Path) -> None:
    """The files as git has them, with one time for all: it gets into the image with what is copied."""
    folder.mkdir(mode=0o755)
    for file in recipe.files:
        check_name(file.path)
        path = folder / posixpath.relpath(file.path, recipe.context)
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.target is not None:
            path.symlink_to(file.target)
        else:
            with path.open("wb") as written:
                for chunk in file.chunks():
                    written.write(chunk)
            path.chmod(0o755 if file.executable else 0o644)
        os.utime(path, (tar.MTIME_S, tar.MTIME_S), follow_symlinks=False)
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).chmod(0o755)
        os.utime(parent, (tar.MTIME_S, tar.MTIME_S))
