"""Make a control plane that stood by a version: what it lacks comes as a tar on standard input.

Members below Airflow's home are the code. Others go to HANDED_OVER, whole or not at all: `pod.yaml`, the template
of task pods, `environment.json`, the variables of the version's image, and `code`, which says that all is there and
which the dag-processor waits for.
"""

import os
import pathlib
import shutil
import sys
import tarfile

CODE = pathlib.PurePosixPath(os.environ["AIRFLOW_HOME"].removeprefix("/"))
HANDED_OVER = pathlib.PurePosixPath("run/harness")


def main(root: pathlib.Path) -> None:
    """Put what standard input brings below `root`."""
    # Several archives, one after the other.
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", ignore_zeros=True) as archive:
        for member in archive:
            name = pathlib.PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                sys.exit(f"{name} is no name inside the version")
            if name.is_relative_to(CODE):
                put(archive, member, root / name)
            elif len(name.parts) == 1 and member.isfile():
                partial = root / HANDED_OVER / f".{name}"
                put(archive, member, partial)
                partial.replace(partial.with_name(str(name)))


def put(archive: tarfile.TarFile, member: tarfile.TarInfo, path: pathlib.Path) -> None:
    """One member at its place, with the time that it has in the image."""
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.issym():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(member.linkname)
    elif member.isfile() and (content := archive.extractfile(member)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        path.chmod(member.mode & 0o755)
        os.utime(path, (member.mtime, member.mtime))


main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/"))
