"""The documentation against the code: commands parse, links resolve, and nothing is left out."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli import app as cli
from harness.cluster.existing import allow_list
from harness.errors import CauseCode
from harness.project import configuration as config
from harness.project import values as config_values
from harness.report import model

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
COMMANDS = REPOSITORY / "docs/commands.md"
CONFIGURATION = REPOSITORY / "docs/configuration.md"
PAGES = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted(REPOSITORY.glob("docs/*.md")),
]
CONTRACT = (
    r"    python3 -m venv .venv && . .venv/bin/activate && pip install -e . && harness doctor --fix && harness up"
    r" && harness test +# the main job",
    r"    python3 -m venv .venv && . .venv/bin/activate && pip install -e '.[test]' && pytest +# the tests",
)
SETTINGS = {
    "": config.Configuration,
    "image.": config.ImageSettings,
    "airflow.": config.AirflowSettings,
    "tests.NAME.": config.TestSettings,
    "secrets.": config.SecretsSettings,
    "tests.NAME.metrics.": config.MetricsSource,
    "tests.NAME.gates.METRIC.": config.Gate,
}
GROUP = typer.main.get_command(cli.app)
ADDED_BY_TYPER = {"--install-completion", "--show-completion", "--help", "-h"}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_BREAKS = {"&&", "||", ";", "|"}


@dataclass(frozen=True)
class Command:
    """A `harness` command as a page shows it."""

    page: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.argv)}"


def _fences(page: Path, language: str) -> list[str]:
    return [match[3] for match in _FENCE.finditer(page.read_text(encoding="utf-8")) if match[2] == language]


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, without its comment and redirections."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = "#"
    argv: list[str] = []
    for word in words:
        if word in _BREAKS:
            yield argv
            argv = []
        else:
            argv.append(word)
    yield argv


def _shown(page: Path) -> Iterator[Command]:
    """The `harness` commands in a page's console blocks, in README's two commands and between backticks."""
    text = page.read_text(encoding="utf-8")
    lines = [
        line.strip().removeprefix("$ ")
        for block in _fences(page, "console")
        for line in block.splitlines()
        if line.strip().startswith("$ ")
    ]
    lines += re.findall(r"^    (python3 -m venv .*)$", text, re.MULTILINE)
    lines += [
        span.translate(str.maketrans("", "", "[]")) for span in re.findall(r"`(harness [^`\n]+)`", text)
    ]
    for line in lines:
        for argv in _simple_commands(line):
            if argv and argv[0] == "harness":
                yield Command(page.name, tuple(argv[1:]))


def _parse(argv: tuple[str, ...]) -> None:
    """What the command line does before it runs anything. Raises AssertionError for what it would refuse."""
    name, *arguments = argv
    if name.startswith("-"):
        known = {option for parameter in GROUP.params for option in parameter.opts} | ADDED_BY_TYPER
        assert name in known, f"no option {name}"
        return
    assert name in GROUP.commands, f"no command {name}"
    if not set(arguments) & {"--help", "-h"}:
        try:
            GROUP.commands[name].make_context(name, arguments)
        except Exception as error:
            raise AssertionError(str(error)) from error


def _section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    text = page.read_text(encoding="utf-8")
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"{page.name} has no heading {heading!r}"
    return match[1]


def _rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without those of headers."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [
        row
        for index, row in enumerate(rows)
        if not set("".join(row)) <= set("-")
        and not (rows[index + 1 :] and set("".join(rows[index + 1])) <= set("-"))
    ]


SHOWN = [command for page in PAGES for command in _shown(page)]


def test_readme_has_the_two_commands() -> None:
    text = README.read_text(encoding="utf-8")
    for command in CONTRACT:
        start, end = command.split(" +# ")
        assert len(re.findall(rf"^{re.escape(start)} +# {re.escape(end)}$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("command", SHOWN, ids=str)
def test_shown_command_parses(command: Command) -> None:
    _parse(command.argv)


def test_every_command_is_shown_and_a_wrong_one_would_be_found() -> None:
    assert {command.argv[0] for command in SHOWN} >= set(GROUP.commands)
    for wrong in (
        ("tset",),
        ("test", "--reff", "main"),
        ("test", "--keep", "sometimes"),
        ("up", "extra"),
        ("--fix",),
    ):
        with pytest.raises(AssertionError):
            _parse(wrong)


def test_commands_page_has_every_command() -> None:
    headings = re.findall(r"^## harness (\S+)$", COMMANDS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(GROUP.commands)


@pytest.mark.parametrize("name", GROUP.commands)
def test_every_option_is_documented(name: str) -> None:
    expected = set()
    for parameter in GROUP.commands[name].params:
        if parameter.param_type_name == "option":
            expected.add(max(parameter.opts, key=len))
        else:
            expected.add((parameter.metavar or parameter.name.upper()).strip("[]."))
    table = [row[0] for row in _rows(_section(COMMANDS, f"## harness {name}"))]
    assert sorted(re.match(r"`([\w-]+)", cell)[1] for cell in table) == sorted(expected)


def test_cause_codes_are_documented() -> None:
    rows = _rows(_section(COMMANDS, "## Cause codes"))
    assert [(row[0].strip("`"), int(row[1])) for row in rows] == [
        (cause.code, cause.exit_code) for cause in CauseCode
    ]


def test_exit_codes_are_documented() -> None:
    documented = [int(row[0]) for row in _rows(_section(COMMANDS, "## Exit codes"))]
    assert documented == sorted({0} | {cause.exit_code for cause in CauseCode})
    in_readme = {int(code) for code in re.findall(r"\*\*(\d+)\*\* ", README.read_text(encoding="utf-8"))}
    assert in_readme == set(documented)


def test_configuration_knows_all_settings() -> None:
    models = {
        value
        for _, value in inspect.getmembers(config, inspect.isclass)
        if issubclass(value, config.Settings) and value is not config.Settings
    }
    assert models == set(SETTINGS.values())


def test_every_key_is_documented_with_its_default() -> None:
    rows = {
        row[0].strip("`"): row[2] for row in _rows(CONFIGURATION.read_text(encoding="utf-8")) if len(row) == 4
    }
    fields = {
        prefix + name: field for prefix, each in SETTINGS.items() for name, field in each.model_fields.items()
    }
    assert sorted(rows) == sorted(fields)
    for key, field in fields.items():
        shown = rows[key]
        if not shown.startswith("`"):
            assert (shown == "required") == field.is_required(), key
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            assert default in (None, {}) or isinstance(default, config.Settings), f"{key}: default not shown"
            continue
        value: Any = tomllib.loads(f"default = {shown.strip('`')}")["default"]
        if key.endswith((".timeout", "_time")):
            value = config_values.parse_duration_s(value)
        default = field.get_default(call_default_factory=True)
        assert value == (list(default) if isinstance(default, tuple) else default), key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_toml_block_is_a_valid_configuration(page: Path) -> None:
    for block in _fences(page, "toml"):
        if block.startswith(("[contexts.", "[registry]")):
            found = allow_list.parse(block)
            assert found.contexts or found.registry
            continue
        parsed = config.parse(block, origin="harness.toml")
        assert parsed is not None
        assert parsed.tests


def test_configuration_begins_with_ten_lines() -> None:
    assert len(_fences(CONFIGURATION, "toml")[0].splitlines()) == 10


def test_result_example_is_a_result() -> None:
    (example,) = _fences(COMMANDS, "json")
    result = model.Result.model_validate(json.loads(example))
    assert result.versions[0].tests[0].metrics


def test_every_key_of_the_result_is_documented() -> None:
    named = set(re.findall(r"`(\w+)`", _section(COMMANDS, "## The result file")))
    models = [
        value
        for _, value in inspect.getmembers(model, inspect.isclass)
        if issubclass(value, model.Model) and value is not model.Model
    ]
    keys = {
        field.alias or name for each in [*models, model.Result] for name, field in each.model_fields.items()
    }
    assert len(keys) > 30
    assert keys - named == set()


def _anchors(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "code", _FENCE.sub("", page.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(REPOSITORY), f"{page.name}: {link}"
        assert not anchor or anchor in _anchors(target), f"{page.name}: {link}"


def test_every_page_is_linked_from_readme() -> None:
    text = README.read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"]({page.relative_to(REPOSITORY)})" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_path_of_a_machine(page: Path) -> None:
    found = re.search(r"(?<![\w.])/(root|home|work|Users)/", page.read_text(encoding="utf-8"))
    assert found is None, f"{page.name}: {found and found[0]}"
