"""The packages that a version needs: the repository's own list, and what only its image had; and the Python of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.init.findings import Finding, listed
from harness.init.layout import Layout
from harness.init.places import fits
from harness.init.reading.given import python_asked, python_bounds
from harness.init.reading.image.team_image import TeamImage
from harness.init.reading.packages.imported import normalized, package_of, with_brought
from harness.init.reading.packages.requirements import Dependencies, dependencies_of
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.project.image_settings import ImageSettings
from harness.versions import DEBIAN_OF_PYTHON

WRITTEN = "harness-requirements.in"
_OF_THIS_MACHINE = re.compile(r"^\s*(?:(?:-e|--editable)\s|\.{1,2}(?:/|\s|$))", re.MULTILINE)
_FULL = re.compile(r"3\.\d{1,3}\.\d{1,3}(?:(?:a|b|rc)\d{1,3})?")
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}")
LAST_RELEASES = {
    "3.0": "3.0.6",
    "3.1": "3.1.8",
    "3.2": "3.2.2",
    "3.3": "3.3.2",
}  # Astro's runtimes name the minor


_NEWER = "versions run on Airflow 3.0 or later"


@dataclass(frozen=True)
class Packages:
    """`path` for [image] requirements, files to write for it, and why what is asked for can't be had.

    `version` is that of Airflow, `airflow` the same where [image] must name it.
    """

    path: str
    airflow: str = ""
    version: str = ""
    system: str | tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()


def packages_of(files: RepositoryFiles, layout: Layout, image: TeamImage) -> Packages:
    """What is installed into a version's image."""
    told = [said.value for said in image.requirements]
    known = dependencies_of(files, layout.dags_folder, layout.places.home, told)
    findings = []
    if known.path and known.path not in told and (why := _contradicts(known, image)):
        text = f"{known.path} is left out: {why}"
        findings.append(Finding("decided", "packages", text, str(image.packages[0].place)))
        known = Dependencies()
    if known.path:
        findings.append(Finding("found", "packages", _shown(known), known.path))
    airflow, version, airflow_findings, reasons = _airflow(known, image)
    added = {} if known.locked else dict(_missing(known, layout, image))
    system, system_findings = _system(image)
    findings += [*airflow_findings, *_unknown(known, added, layout), *_left_out(known), *system_findings]
    text = files.read_text(known.path) or "" if known.path else ""
    copied = bool(known.lines) and (
        not known.path
        or known.path.endswith(".toml")
        or known.utf_16
        or known.unfit
        or _OF_THIS_MACHINE.search(text)
    )
    indexes = {} if known.locked else _indexes(image, text)
    if known.path and not added and not indexes and not (copied and not known.path.endswith(".toml")):
        return Packages(known.path, airflow, version, system, {}, tuple(findings), tuple(reasons))
    findings.append(Finding("decided", "packages", _written(known, added, indexes), WRITTEN))
    made = "".join(f"{line}\n" for line in _lines(known, added, indexes, copied=bool(copied)))
    return Packages(WRITTEN, airflow, version, system, {WRITTEN: made}, tuple(findings), tuple(reasons))


def _airflow(known: Dependencies, image: TeamImage) -> tuple[str, str, list[Finding], list[str]]:
    """Airflow's version as [image] has to name it, the one that versions run, what is said of it, why none can run."""
    said = known.airflow or next(((each.value, each.place) for each in image.airflow), None)
    if said is None:
        return "", "", [], []
    findings = [Finding("found", "Airflow", said[0], str(said[1]))]
    if not said[0].startswith("3"):
        reasons = [f"{said[1]} asks for Airflow {said[0]}: {_NEWER}"] if known.airflow else []
        return "", "", [*findings, _older(said)], reasons
    if known.airflow is not None:
        return "", said[0], findings, []
    airflow = said[0] if _FULL.fullmatch(said[0]) else LAST_RELEASES.get(said[0], "")
    if airflow and airflow != said[0]:
        findings.append(Finding("decided", "Airflow", f"{airflow}, the last {said[0]} that was tried"))
    return airflow, airflow or said[0], findings, []


def _indexes(image: TeamImage, text: str) -> dict[str, Place]:
    """The indexes that the team's image asks besides the usual one, where its file of packages names none of them."""
    return {said.value: said.place for said in image.indexes if said.value not in text}


def _lines(
    known: Dependencies, added: Mapping[str, Place], indexes: Mapping[str, Place], *, copied: bool
) -> Iterator[str]:
    """The file of packages: what the repository's own asks for, and what is `added` to it."""
    yield "# What versions run on; written by harness init, yours to change."
    yield from (f"--extra-index-url {url}  # {place}" for url, place in indexes.items())
    if known.path and not copied:
        yield f"-r {known.path}"
    else:
        yield from (line for line in known.lines if not re.match(r"\s*(?:\.|/|file:|-)", line))
    yield from (f"{name}  # {place}" for name, place in added.items())
    if (
        not known.lines
        and not known.path
        and not any(normalized(name).startswith("apache-airflow") for name in added)
    ):
        yield "apache-airflow-core>=3"


def _left_out(known: Dependencies) -> Iterator[Finding]:
    """The lines of a requirements file that are not taken over as they are: the first of each kind, and how many."""
    for why in dict.fromkeys(each.why for each in known.unfit):
        first, *more = [each for each in known.unfit if each.why == why]
        what = f"{first.instead} is taken" if first.instead else "the line is left out"
        others = f", as are {len(more)} more like it" if more else ""
        yield Finding("yours", "packages", f"`{first.line}`: {why}: {what}{others}", str(first.place))


def _contradicts(known: Dependencies, image: TeamImage) -> str:
    """Why a file of packages can't be what the image has, which installs others by name and not that file."""
    if image.astro or not image.packages:
        return ""
    if known.airflow and image.airflow and known.airflow[0][:2] != image.airflow[0].value[:2]:
        return f"it asks for Airflow {known.airflow[0]}, and your image has {image.airflow[0].value}"
    pins = dict(_pins(known.lines))
    for name, version in _pins(said.value for said in image.packages):
        if pins.get(name, version) != version:
            return f"it asks for {name} {pins[name]}, and your image installs {version}"
    return ""


def _pins(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        found = re.match(r"\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([\w.+!]+)", line)
        if found:
            yield normalized(found[1]), found[2]


def _written(known: Dependencies, added: Mapping[str, Place], indexes: Mapping[str, Place]) -> str:
    """Why a file of packages is written."""
    if added:
        return f"{WRITTEN} is written, since no file of yours names {listed(added)}"
    if indexes:
        return f"{WRITTEN} is written, since no file of yours names the index {listed(indexes)}"
    if known.names:
        return f"{WRITTEN} is written, with what can be locked of {known.path or 'yours'}"
    return f"{WRITTEN} is written, with Airflow alone: nothing of yours names packages"


def _older(said: tuple[str, Place]) -> Finding:
    text = f"your image has {said[0]}, and {_NEWER}: try what `ruff check --select AIR30` finds"
    return Finding("yours", "Airflow", text, str(said[1]))


def _shown(known: Dependencies) -> str:
    kind = "a lock" if known.locked else "requirements"
    return f"{known.path}, {kind} with {len(known.names)} packages"


def _missing(known: Dependencies, layout: Layout, image: TeamImage) -> Iterator[tuple[str, Place]]:
    """What the team's image installs besides, and what the code imports of well-known packages."""
    seen = set(known.names)
    for said in image.packages:
        name = _name(said.value)
        if name.startswith("apache-airflow") and "[" in said.value and name not in seen:
            seen.add(name)  # its extras are providers
            yield said.value, said.place
        if name not in seen and name not in {
            "apache-airflow",
            "apache-airflow-core",
            "pip",
            "setuptools",
            "wheel",
        }:
            seen.add(name)
            yield said.value, said.place
    seen = with_brought(seen)
    for found, path in layout.foreign:
        name, sure = package_of(found)
        if name and sure and not found.guarded and not _has(_name(name), seen):
            seen |= with_brought({_name(name)})
            yield name, Place(path, found.line)


def _unknown(known: Dependencies, added: Iterable[str], layout: Layout) -> Iterator[Finding]:
    """Imports of packages that no file names, and whose package's name nobody can know."""
    seen: set[str] = set()
    names = with_brought((*known.names, *(_name(each) for each in added)))
    for found, path in layout.foreign:
        name, sure = package_of(found)
        top = found.module.partition(".")[0]
        if not name or found.guarded or top in seen or _has(name, names) or (sure and not known.locked):
            continue
        seen.add(top)
        where = known.path if known.path and not added else WRITTEN
        text = f"{top} is imported, and {where} does not name its package"
        yield Finding("yours", "a package", text, str(Place(path, found.line)), add=f"{name}  in {where}")


def _name(line: str) -> str:
    return normalized(re.split(r"[\[<>=!~;@ ]", line, maxsplit=1)[0])


def _has(name: str, names: Iterable[str]) -> bool:
    """Whether a package is among these names, or a variant of it: psycopg2-binary, dag-factory for dagfactory."""
    known = set(names)
    plain = normalized(name)
    variants = {
        plain,
        plain.removesuffix("-binary"),
        plain.removesuffix("-headless"),
        plain.removesuffix("-cpu"),
        f"python-{plain}",
    }
    together = plain.replace("-", "")
    return bool(variants & known) or any(
        each.startswith(f"{plain}-") or each.replace("-", "") == together for each in known
    )


def _system(image: TeamImage) -> tuple[str | tuple[str, ...], list[Finding]]:
    """Debian packages: the file that lists them, or those that a Dockerfile installs."""
    if not image.system_packages:
        return (), []
    files_named = {said.place.path for said in image.system_packages}
    first = image.system_packages[0].place
    names = sorted({said.value for said in image.system_packages if _DEBIAN_PACKAGE.fullmatch(said.value)})
    finding = Finding("found", "system packages", listed(names), str(first))
    if len(files_named) == 1 and first.path.endswith("packages.txt") and fits(first.path):
        return first.path, [finding]
    return tuple(names), [finding]


def python_version(
    files: RepositoryFiles, layout: Layout, image: TeamImage, airflow: str
) -> tuple[str, list[str], list[Finding]]:
    """The Python of the image, why none fits, and what is said of it; `airflow` is the version that it runs."""
    home = layout.places.home
    newer = next((Place(each.path, each.newer) for each in layout.used.values() if each.newer), None)
    default = str(ImageSettings.model_fields["python"].default)
    asked = [*python_asked(files, home), *image.python]
    bounds = python_bounds(files, home)
    wanted = asked[0].value if asked else default
    built = [python for python in DEBIAN_OF_PYTHON if python != "3.13" or not airflow.startswith("3.0")]
    able = [python for python in built if newer is None or _allowed(python, ">=3.12")]
    fitting = [python for python in able if bounds is None or _allowed(python, bounds.value)]
    known = " and ".join(built)
    if newer is not None and not able:
        why = f"{newer}: this line is of Python 3.12, and versions of Airflow {airflow} have {known}"
        return "", [f"{why}: write it as older ones read it, with other quotes inside the braces"], []
    if bounds is not None and not fitting:
        return "", [f"{bounds.place} asks for Python {bounds.value}, and versions have {known}"], []
    chosen = next((python for python in (wanted, default) if python in fitting), fitting[0])
    findings = []
    if asked and chosen != wanted:
        text = f"{chosen}, in place of {wanted}: the nearest that is built"
        findings.append(Finding("decided", "Python", text, str(asked[0].place)))
    elif chosen != default:
        place = str(asked[0].place if asked else newer or (bounds.place if bounds else ""))
        findings.append(Finding("found", "Python", chosen, place))
    return ("" if chosen == default else chosen), [], findings


def _allowed(python: str, bounds: str) -> bool:
    """Whether `requires-python` lets a minor version be; what can't be read lets all."""
    minor = int(python.split(".")[1])
    for how, number in re.findall(r"(>=|>|<=|<|==|~=)\s*3\.(\d+)", bounds):
        asked = int(number)
        wrong = {
            ">=": minor < asked, "~=": minor < asked, ">": minor < asked,
            "<": minor >= asked, "<=": minor > asked, "==": minor != asked,
        }  # fmt: skip
        if wrong[how]:
            return False
    return True
