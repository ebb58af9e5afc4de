"""Which of the images that harness gave to Docker are used."""

from __future__ import annotations

import json

import pytest

from harness.host import process
from harness.host.docker import images


def test_the_newest_and_those_of_containers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def inspected(name: str, created: str) -> str:
        return json.dumps([f"sha256:{name}", 10, created, [f"harness.local/{name}"]])

    def run(argv: tuple[str, ...], **options: object) -> process.Completed:
        text = ""
        if argv[1:3] == ("image", "ls"):
            text = "harness.local/node:old\nharness.local/node:used\nharness.local/node:new\nharness.local/node:gone\n"
        elif argv[1] == "ps":
            text = "c1\nc2\n"
        elif argv[1] == "inspect":  # c2 went meanwhile
            assert options["check"] is False
            text = "sha256:node:used\n"
        elif argv[1:3] == ("image", "inspect"):  # and so did an image
            assert options["check"] is False
            text = "\n".join(
                inspected(f"node:{name}", f"2026-01-0{day}T00:00:00.123456789Z")
                for day, name in enumerate(("used", "old", "new"), start=1)
            )
        return process.Completed(argv, 0, text, "")

    monkeypatch.setattr(process, "run", run)
    assert [(image.name, image.is_used) for image in images.listed()] == [
        ("harness.local/node:new", True),
        ("harness.local/node:old", False),
        ("harness.local/node:used", True),
    ]
