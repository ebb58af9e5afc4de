"""`harness test` and `harness diff`: all versions at once, each tested by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from harness.cluster import place
from harness.cluster.existing import port_forward
from harness.cluster.running_cluster import RunningCluster, attach
from harness.engine.admission.admission import Admission
from harness.engine.admission.capacity import capacity
from harness.engine.disk import keep_limits
from harness.engine.lifetime import Abandoned, remove_expired
from harness.engine.noise import known as noise
from harness.engine.testing.pairs.pairs import Pairs, Side, Wishes, side_by_side
from harness.engine.testing.plan import Plan, Request, plans
from harness.engine.testing.version_test import VersionTest
from harness.engine.version import environment
from harness.errors import HarnessError
from harness.hints import for_cluster
from harness.host import cache, disk, limits, process
from harness.progress import Labelled, Progress
from harness.report.model import Cause, Result, VersionResult
from harness.verdict import comparison

LABEL_LENGTH = 24


def test(
    start: Path,
    request: Request,
    progress: Progress,
    *,
    on_verdict: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Run the tests of each version and return everything that is known of it; failures are in the result.

    What the repository alone can tell is found out before the cluster is asked for anything. `on_verdict` gets the
    result as soon as the last verdict is known, while versions still go; what fails of that is in the returned one.
    """

    def hinted(result: Result) -> Result:
        return result.with_hints(lambda hint: for_cluster(hint, request.cluster))

    told: list[Result] = []

    def tell(result: Result) -> None:
        told.append(result)
        on_verdict(hinted(result))

    found = _tested(start, request, progress, tell)
    if not told:  # nothing ran
        tell(found)
    return hinted(found)


def _tested(
    start: Path, request: Request, progress: Progress, on_verdict: Callable[[Result], None]
) -> Result:
    with ExitStack() as opened:
        try:
            place.check_name(request.cluster)
            limits.check()
            opened.enter_context(cache.client())
            with disk.explained(), progress.waiting("reading the commits"):
                made, refused = plans(start, request, opened, progress)
            if refused:
                return Result.of(tuple(refused))
            with progress.waiting(f"asking cluster {request.cluster}"):
                running = attach(request.cluster, to_make=True)
                opened.enter_context(port_forward.held(running.cluster, running.server.kubectl))
            remove_expired(running, progress)
            return _all(running, made, request, progress, on_verdict)
        except HarnessError as error:
            return Result.of((), Cause.of(error))


def _all(
    running: RunningCluster,
    made: list[Plan],
    request: Request,
    progress: Progress,
    on_verdict: Callable[[Result], None],
) -> Result:
    """Every version at once. When one breaks by a bug, or the user interrupts, all that was made is removed."""
    abandoned = Abandoned(running, progress)
    with Admission(running.api, make_room=abandoned.remove, placement=running.cluster.placement) as admission:
        names = labels_of(made)
        version_tests = [
            VersionTest(
                plan, request, running, admission, Labelled(progress, name) if len(made) > 1 else progress
            )
            for plan, name in zip(made, names, strict=True)
        ]
        bases = {id(version_test.plan): version_test for version_test in version_tests}
        with progress.waiting("asking the cluster what is known of the noise"):
            _pair(version_tests, running)
        try:
            with process.threads(len(version_tests) + 2) as pool:
                about = pool.submit(environment, running)

                def result(versions: Iterable[VersionResult]) -> Result:
                    return Result.of(tuple(versions), environment=about.result())

                try:
                    futures = [
                        pool.submit(version_test.run, bases.get(id(version_test.plan.base)))
                        for version_test in version_tests
                    ]
                    asked = request.asking
                    on_verdict(result(asked.result_of(each.known) for each in version_tests))
                    pool.submit(keep_limits, running, progress)
                    return result(asked.result_of(future) for future in futures)
                except BaseException:
                    admission.closed.set()
                    for version_test in version_tests:  # all of them first: removing one takes its time
                        version_test.stopped.set()
                    for version_test in version_tests:
                        version_test.keep_measured()
                    for version_test in version_tests:
                        version_test.stop()
                    raise
        except BaseException:
            with progress.waiting("removing what was begun") as step:
                for version_test in version_tests:
                    version_test.remove(wait=True, on_change=step.update)
            raise


def _pair(version_tests: Sequence[VersionTest], running: RunningCluster) -> None:
    """Tell each version which runs are wanted of it, by those that it is compared with."""
    pairs: dict[int, dict[str, list[Pairs]]] = {id(each.plan): {} for each in version_tests}
    processors = capacity(running.api, running.cluster.placement).total.cpu
    for version_test in version_tests:
        plan = version_test.plan
        sides: tuple[Side, ...] = ("base", "head") if plan.base is not None else ("head",)
        if plan.found.role == "base":
            continue
        if plan.base is not None:
            versions = (plan.base.commit.tag, plan.commit.tag)
            version_test.learnt = {
                name: noise.spreads(running.server, settings, versions)
                for name, settings in plan.tests.items()
                if comparison.is_compared(settings)
            }
        for name, settings in plan.tests.items():
            found = Pairs(
                settings,
                len(plan.dates[name]),
                sides,
                sequential=name in plan.sequential,
                learnt=version_test.learnt.get(name),
                note=version_test.progress.note,
            )
            for each in (plan, plan.base):
                if each is not None:
                    pairs[id(each)].setdefault(name, []).append(found)
    for version_test in version_tests:
        plan = version_test.plan
        side: Side = "base" if plan.found.role == "base" else "head"
        version_test.wishes = {name: Wishes(side, found) for name, found in pairs[id(plan)].items()}
        if not plan.image.shared:
            version_test.side_by_side = partial(
                side_by_side, processors=processors, versions=len(version_tests)
            )


def labels_of(made: list[Plan]) -> list[str]:
    """What each version's lines begin with: its ref, cut where it is long, and told apart."""
    names: list[str] = []
    for plan in made:
        ref = (
            plan.found.ref
            if len(plan.found.ref) <= LABEL_LENGTH
            else f"{plan.found.ref[: LABEL_LENGTH - 1]}…"
        )
        name, number = ref, 1
        while name in names:
            number += 1
            name = f"{ref} #{number}"
        names.append(name)
    return names
