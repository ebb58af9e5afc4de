"""In which order versions are chosen: Airflow's own constraints, its release's day, the day that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from harness.errors import CauseCode, HarnessError
from harness.image.lock import airflow, lock_text, make
from harness.image.lock.inputs import read_inputs
from harness.image.lock.make import Made
from harness.image.lock.packages import PKG_RESOURCES, Resolved
from harness.image.lock.resolve import Question, UnresolvedError
from harness.image.lock.target import Target

ASKED = datetime(2026, 11, 28, 15, 30, tzinfo=UTC)
RELEASED = datetime(2025, 8, 29, 14, 0, tzinfo=UTC)
PACKAGES = (
    "apache-airflow-core",
    "apache-airflow-providers-cncf-kubernetes",
    "apache-airflow-providers-postgres",
)


class Index:
    """What uv would answer, with these further packages: `refuses` says which questions have no answer."""

    def __init__(self, refuses: Callable[[Question], bool] = lambda _: False, **versions: str) -> None:
        self.refuses = refuses
        self.versions = {name.replace("_", "-"): version for name, version in versions.items()}
        self.asked: list[tuple[Question, Target]] = []

    def resolve(self, question: Question, target: Target, **_: object) -> dict[str, Resolved]:
        if question.alone:
            return {PACKAGES[0]: Resolved(PACKAGES[0], "3.0.6", ("a" * 64,), "", RELEASED)}
        self.asked.append((question, target))
        if self.refuses(question):
            raise UnresolvedError(
                CauseCode.DEPENDENCIES_UNRESOLVED,
                "r.txt can't be locked",
                evidence=("error", "x is not there"),
            )
        versions = {**dict.fromkeys(PACKAGES, "3.0.6"), **self.versions}
        if PKG_RESOURCES in question.lines:
            versions["setuptools"] = "80.9.0"
        return {name: Resolved(name, each, ("b" * 64,), "", RELEASED) for name, each in versions.items()}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    def run(
        index: Index,
        constraints: tuple[str, ...] | None = None,
        text: str = "apache-airflow==3.0.6\npandas==9\n",
        there: Mapping[str, str] | None = None,
    ) -> Made:
        monkeypatch.setattr(make, "resolve", index.resolve)
        monkeypatch.setattr(airflow, "resolve", index.resolve)
        monkeypatch.setattr(airflow, "constraints", lambda *_: constraints)
        files: Mapping[str, bytes] = {"r.txt": text.encode()}
        inputs = read_inputs("r.txt", files.get, python="3.11", base="team/image:1" if there else "")
        return make.make(inputs, asked=ASKED, there=there or {})

    return run


def test_airflows_own_constraints_come_first_but_for_what_is_fixed(made: Callable[..., Made]) -> None:
    index = Index()
    found = made(index, ("pandas==1", "pydantic==2"))
    assert index.asked[0][0].constraints == ("pydantic==2",)
    assert found.chosen == "the constraints of Airflow 3.0.6"
    assert found.notes == ()
    assert [target.machine for _, target in index.asked] == ["x86_64", "aarch64"]


def test_without_them_the_day_of_the_release(made: Callable[..., Made]) -> None:
    index = Index()
    found = made(index)
    question = index.asked[0][0]
    assert question.as_of == datetime(2025, 8, 31, tzinfo=UTC)
    assert set(question.exempt) == {"apache-airflow", "pandas"}
    assert question.asked == datetime(2026, 11, 29, tzinfo=UTC)
    assert found.chosen == "as of 2025-08-31, the release of Airflow 3.0.6"
    assert "can't be had here" in found.notes[0]
    assert lock_text.as_of(found.content) == "2025-08-31T00:00:00Z"


def test_where_that_does_not_fit_the_day_that_is_asked_for(made: Callable[..., Made]) -> None:
    index = Index(lambda question: question.as_of < datetime(2026, 1, 1, tzinfo=UTC))
    found = made(index)
    assert found.chosen == "as of 2026-11-28"
    assert found.notes[-1] == "as of 2025-08-31, the release of Airflow 3.0.6: x is not there"


def test_what_the_image_below_has_comes_before_all_else(made: Callable[..., Made]) -> None:
    index = Index()
    found = made(index, ("pandas==1",), there={"numpy": "2.4.0", "torch": "2.3.0+cpu", "own": "from-git"})
    question = index.asked[0][0]
    assert question.preferred == {"numpy": "2.4.0", "torch": "2.3.0+cpu"}, "what is no version is no wish"
    assert {"numpy", "torch"} <= set(question.exempt), "it may be newer than Airflow"
    assert question.constraints == ()
    assert found.chosen == "the packages of team/image:1, others as of 2025-08-31"


def test_where_that_does_not_fit_it_is_as_without(made: Callable[..., Made]) -> None:
    index = Index(lambda question: bool(question.preferred))
    found = made(index, ("pandas==1",), there={"numpy": "2.4.0"})
    assert found.chosen == "the constraints of Airflow 3.0.6"
    assert found.notes[0].startswith("the packages of team/image:1, others as of 2025-08-31: ")


def test_what_fits_on_no_day_is_refused(made: Callable[..., Made]) -> None:
    with pytest.raises(HarnessError, match="can't be locked"):
        made(Index(lambda _: True))


def test_one_architecture_alone_is_locked_with_what_there_is(made: Callable[..., Made]) -> None:
    index = Index(lambda _: index.asked[-1][1].machine == "aarch64")
    assert b"platform_machine" not in made(index).content


def test_the_hour_of_a_day_makes_no_difference(made: Callable[..., Made]) -> None:
    text = "apache-airflow-core\n"
    assert made(Index(), None, text).content == made(Index(), None, text).content


def test_bounds_without_what_is_fixed_otherwise() -> None:
    assert airflow.without(("a==1", "B_c==2", "nonsense!"), frozenset({"b-c"})) == ("a==1",)


def too_new(reason: str, name: str) -> UnresolvedError:
    """What uv says when the only fitting versions of a package came after the date."""
    return UnresolvedError(
        CauseCode.DEPENDENCIES_UNRESOLVED,
        "r.txt can't be locked",
        evidence=(reason, f"hint: `{name}` was filtered by `exclude-newer` to …"),
    )


def test_what_an_index_does_not_date_counts_whatever_the_date(made: Callable[..., Made]) -> None:
    class Undated(Index):
        def resolve(self, question: Question, target: Target, **_: object) -> dict[str, Resolved]:
            if question.alone and question.lines == ("house-style",):
                return {"house-style": Resolved("house-style", "1", ("c" * 64,))}
            if not question.alone and "house-style" not in question.undated:
                raise too_new("no version of house-style", "house-style")
            return super().resolve(question, target)

    found = made(Undated())
    assert any("no date bounds house-style" in note for note in found.notes)
    assert found.chosen.startswith("as of 2025-08-31")


def test_what_is_only_too_new_is_not_let_in(made: Callable[..., Made]) -> None:
    class TooNew(Index):
        def resolve(self, question: Question, target: Target, **_: object) -> dict[str, Resolved]:
            if not question.alone:
                raise too_new("no version", "apache-airflow-core")
            return super().resolve(question, target)

    with pytest.raises(UnresolvedError):
        made(TooNew())


def test_what_a_fixed_version_needs_may_be_newer_too_and_nothing_else(made: Callable[..., Made]) -> None:
    class Newer(Index):
        def resolve(self, question: Question, target: Target, **_: object) -> dict[str, Resolved]:
            if question.alone and question.lines == ("pandas-skinny",):
                return {"pandas-skinny": Resolved("pandas-skinny", "9", ("c" * 64,), "", ASKED)}
            if not question.alone and "pandas-skinny" not in question.exempt:
                raise too_new("no version of pandas-skinny==9", "pandas-skinny")
            return super().resolve(question, target)

    index = Newer()
    found = made(index)
    assert found.chosen.startswith("as of 2025-08-31")
    assert any("because your versions need it: pandas-skinny" in note for note in found.notes)
    assert {question.undated for question, _ in index.asked} == {frozenset()}


@pytest.mark.parametrize(
    ("versions", "is_added"),
    [
        ({"mlflow": "2.13.2"}, True),
        ({"mlflow_skinny": "2.9.2"}, True),
        ({"tensorflow_hub": "0.16.1"}, True),
        ({"mlflow": "2.13.2", "setuptools": "82.0.0"}, True),
        ({"mlflow": "2.13.2", "setuptools": "78.1.0"}, False),
        ({"mlflow": "3.7.0"}, False),
        ({"pandas": "2.2.2"}, False),
    ],
)
def test_what_takes_pkg_resources_for_granted_gets_it(
    made: Callable[..., Made], versions: Mapping[str, str], is_added: bool
) -> None:
    found = made(Index(**versions))
    assert (b"setuptools==80.9.0" in found.content) is is_added
    told = [note for note in found.notes if note.startswith("added, as Airflow's own image has it")]
    assert bool(told) is is_added


def test_where_that_fits_nothing_the_lock_is_without(made: Callable[..., Made]) -> None:
    found = made(Index(lambda question: PKG_RESOURCES in question.lines, mlflow="2.13.2"))
    assert b"setuptools" not in found.content
    assert not [note for note in found.notes if "setuptools" in note]
