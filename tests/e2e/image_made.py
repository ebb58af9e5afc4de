"""The image of a repository's HEAD, made by a process of its own: `image_made.py UMASK`, in the repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.engine.version import image_result
from harness.image.build import build_foundation, image_of
from harness.project.project import load


def main() -> None:
    """Print what the image is made of, as JSON."""
    os.umask(int(sys.argv[1], 8))
    project = load(Path.cwd())
    with project.commit("HEAD") as commit:
        settings = project.image_settings(commit)
        foundation = build_foundation(
            commit,
            settings,
            project=project.name,
            published=os.environ["BASE"],
            on_line=lambda _: None,
            log=Path(os.environ["LOG"]),
        )
        image = image_of(commit, settings, foundation, project=project.name)
        print(image_result(image, foundation, python=settings.python).model_dump_json())  # noqa: T201  its output


if __name__ == "__main__":
    main()
