"""JUnit, Markdown and HTML: what their readers make of them, also of hostile texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import report_samples as samples
from markdown_it import MarkdownIt

from harness.report.files import junit, markdown
from harness.report.html import page as html
from harness.report.html import plots
from harness.report.model import GateResult, Result, TaskResult
from harness.verdict.metrics import judge

VOID = {"meta", "br"}
SHOWN = "a|b`c`</script><script>alert(1)</script>&\"'red ::error::x"  # HOSTILE without what draws


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314  our own


class TestJunit:
    def test_a_suite_per_version_a_case_per_test_and_gate(self):
        root = parsed(junit.render(samples.gate_failed()))
        assert [suite.get("name") for suite in root] == [
            "main (a1b2c3d4e5f6)",
            "feature/fewer-trees (0f9e8d7c6b5a-dirty-9f8e7d6c)",
        ]
        assert [(case.get("classname"), case.get("name")) for case in root[1].findall("testcase")] == [
            ("feature/fewer-trees", "breast_cancer"),
            ("feature/fewer-trees.breast_cancer", "gate accuracy >= 0.93, drop <= 0.01"),
            ("feature/fewer-trees.breast_cancer", "gate log_loss <= 0.3"),
        ]
        (failure,) = root.iter("failure")
        assert failure.get("message") == "accuracy 0.9123 is below its minimum 0.93"
        facts = {item.get("name"): item.get("value") for item in root[1].iter("property")}
        assert facts["image.digest"] == samples.digest("1f2e3d4c")
        assert facts["image.lock.path"] == "dags/requirements.lock"
        assert not any("{" in text or "(" in text for text in facts.values() if text)
        assert facts["commit"] == "0f9e8d7c6b5a" + "1" * 28

    @pytest.mark.parametrize(
        ("sample", "tests", "failures", "errors"),
        [
            (samples.passed, 3, 0, 0),
            (samples.gate_failed, 6, 1, 0),
            (samples.out_of_memory, 1, 1, 0),
            (samples.no_cluster, 1, 0, 1),
            (samples.load_failed, 1, 0, 1),
        ],
    )
    def test_counts(self, sample, tests, failures, errors):
        root = parsed(junit.render(sample()))
        for name, count in (("tests", tests), ("failures", failures), ("errors", errors)):
            assert root.get(name) == str(count)
            assert sum(int(suite.get(name)) for suite in root) == count
        assert len(list(root.iter("testcase"))) == tests
        assert len(list(root.iter("failure"))) == failures
        assert len(list(root.iter("error"))) == errors

    def test_a_gate_that_was_not_judged_is_skipped(self):
        gates = {"m": GateResult(better="higher", max_regression=0.1)}
        test = samples.run_of({}).model_copy(
            update={"metrics": judge({"m": 1.0}, gates), "verdict": "passed", "cause": None}
        )
        root = parsed(junit.render(Result.of((samples.version("HEAD", "0" * 40, test),))))
        assert "not judged" in root.find(".//skipped").get("message")
        assert (root[0].get("skipped"), root.get("failures")) == ("1", "0")

    def test_a_failure_without_gates_or_cause_is_not_lost(self):
        test = samples.run_of({}).model_copy(update={"metrics": {}, "verdict": "failed", "cause": None})
        root = parsed(junit.render(Result.of((samples.version("HEAD", "0" * 40, test),))))
        assert root.get("failures") == "1"

    def test_hostile_text_comes_back(self):
        root = parsed(junit.render(samples.hostile()))
        assert root.find(".//testcase").get("name") == SHOWN
        assert len(list(root.iter("script"))) == 0


class TestMarkdown:
    @pytest.mark.parametrize("sample", samples.ALL)
    def test_reads_as_meant(self, sample):
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown.render(sample()))
        allowed = re.compile(r"(<details><summary>[^<>]*</summary>|</details>)\n?")
        columns = 0
        for token in tokens:
            if token.type == "html_block":
                assert allowed.fullmatch(token.content), token.content
            for child in token.children or ():
                assert child.type not in {"html_inline", "link_open", "image", "em_open"}, token.content
        for index, token in enumerate(tokens):
            if token.type == "tr_open":
                end = next(i for i in range(index, len(tokens)) if tokens[i].type == "tr_close")
                cells = sum(token.type in {"td_open", "th_open"} for token in tokens[index:end])
                columns = cells if tokens[index - 1].type == "thead_open" else columns
                assert cells == columns
        tables = sum(token.type == "table_open" for token in tokens)
        wanted = sum(bool(t.metrics) + bool(t.tasks) for v in sample().versions for t in v.tests)
        wanted += sum(bool(version.phases) + bool(version.image) for version in sample().versions)
        assert tables == wanted + bool(sample().environment)

    def test_hostile_text_comes_back(self):
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown.render(samples.hostile()))
        codes = {
            child.content for token in tokens for child in token.children or () if child.type == "code_inline"
        }
        assert SHOWN in codes

    def test_says_why(self):
        text = markdown.render(samples.gate_failed())
        assert text.startswith("## ❌ failed\n")
        assert "accuracy 0.9123 is below its minimum 0.93" in text
        assert "| `accuracy` | 0.9561 | 0.9123 | -0.04379 | `>= 0.93, drop <= 0.01` | ❌ failed |" in text
        assert "hint: `harness up`" in markdown.render(samples.no_cluster())

    @pytest.mark.parametrize("render", [markdown.render, html.render])
    def test_names_every_version_and_digest(self, render):
        text = render(samples.passed())
        for part in (
            "v1.37.0",
            "linux/amd64",
            "harness.local/node:0123456789ab",
            "3.3.2",
            "requirements.lock",
        ):
            assert part in text
        for seed in ("40de", "c4a7", "10c4", "ba5e", "deb5", "c0de"):
            assert samples.digest(seed)[:19] in text
        assert "libgomp1" in text
        assert "12.2.0-14" in text

    def test_memory_lies_beside_that_of_the_base(self):
        text = markdown.render(samples.memory_compared())
        assert "| task | state | try | pod | queued | ran | memory |\n" in text
        assert "| queued | ran | in base | memory | in base |\n" in text
        assert "| 2.2 s | 12 min 5 s | 10 min 8 s | 1.07 GB | 536 MB |\n" in text
        assert "memory" not in markdown.render(samples.passed())

    def test_stays_under_the_limit_of_a_summary(self):
        tasks = tuple(TaskResult(task_id="t", map_index=i, state="success") for i in range(5000))
        judged = judge({f"metric_{i}": i / 7 for i in range(1000)}, {})
        test = samples.run_of({}).model_copy(update={"tasks": tasks, "metrics": judged})
        text = markdown.render(Result.of((samples.version("HEAD", "0" * 40, test),)))
        assert len(text.encode()) < 100_000
        assert "and 4900 more tasks" in text
        assert "and 900 more metrics without a gate" in text


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


class TestHtml:
    @pytest.mark.parametrize("sample", samples.ALL)
    def test_is_whole_and_loads_nothing(self, sample):
        page = Page(html.render(sample()))
        assert page.open == []
        assert not page.tags & {"script", "link", "img", "iframe", "object", "a", "base", "form"}
        assert not {
            name for name, _ in page.attributes if name.startswith("on") or name in {"src", "href", "style"}
        }
        css = "".join(page.texts)
        assert "url(" not in css
        assert "@import" not in css
        assert ("content", html._POLICY) in page.attributes

    def test_hostile_text_comes_back_as_text(self):
        page = Page(html.render(samples.hostile()))
        assert SHOWN in page.texts

    def test_memory_lies_beside_that_of_the_base(self):
        page = Page(html.render(samples.memory_compared()))
        assert [text for text in page.texts if text in {"ran", "in base", "memory"}] == [
            *("ran", "memory"),
            *("ran", "in base", "memory", "in base"),
        ]
        at = page.texts.index("536 MB")
        assert page.texts[at - 4 : at] == ["2.2 s", "12 min 5 s", "10 min 8 s", "1.07 GB"]
        assert "memory" not in Page(html.render(samples.passed())).texts

    def test_plots_are_well_formed(self):
        plots = re.findall(r"<svg.*?</svg>", html.render(samples.gate_failed()))
        kinds = [parsed(plot).get("class") for plot in plots]
        assert kinds.count("gatebar") == 4
        assert kinds.count("timeline") == 2
        assert kinds.count("phases") == 2

    def test_timeline_places_tasks_in_time(self):
        (plot,) = re.findall(r'<svg[^>]*class="timeline".*?</svg>', html.render(samples.passed()))
        rows = parsed(plot).findall("g")
        queued = [row.find("rect[@class='queued']") for row in rows]
        ran = [row.find("rect[@class='ran passed']") for row in rows]
        assert [row.find("text").text for row in rows] == [
            "prepare",
            "train[0]",
            "train[1]",
            "train[2]",
            "evaluate",
        ]
        for before, after in zip(queued, ran, strict=True):
            end = float(before.get("x")) + float(before.get("width"))
            assert end == pytest.approx(float(after.get("x")), abs=0.05)
        assert float(queued[4].get("x")) > float(ran[3].get("x"))
        widest = max(float(bar.get("x")) + float(bar.get("width")) for bar in ran)
        assert widest <= 920

    def test_gate_bar_shows_on_which_side_the_value_is(self):
        bars = re.findall(r'<svg[^>]*class="gatebar".*?</svg>', html.render(samples.gate_failed()))
        failed = parsed(bars[2])
        allowed = failed.find("rect[@class='allowed']")
        value, base = failed.find("circle[@class='value failed']"), failed.find("circle[@class='base']")
        assert float(value.get("cx")) < float(allowed.get("x")) < float(base.get("cx"))

    @pytest.mark.parametrize(
        ("value", "base", "gate"),
        [
            (None, None, GateResult(min=1)),
            (0.0, None, GateResult(min=0)),
            (1.0, 1.0, GateResult(min=1, max=1)),
            (1e300, -1e300, GateResult(better="lower", max_regression=0)),
            (5e-324, None, GateResult(max=0)),
            (1.0, None, GateResult(better="higher", max_regression=0.1)),
        ],
    )
    def test_gate_bar_of_odd_numbers(self, value, base, gate):
        metrics = {} if value is None else {"m": value}
        judged = judge(metrics, {"m": gate}, None if base is None else {"m": base})
        test = samples.run_of({}).model_copy(update={"metrics": judged, "tasks": ()})
        text = html.render(Result.of((samples.version("HEAD", "0" * 40, test),)))
        numbers = re.findall(r'(?:cx|x1|width)="([^"]*)"', text)
        assert numbers
        assert not any(word in number for number in numbers for word in ("nan", "inf"))

    def test_no_time_no_plot(self):
        test = samples.run_of({}).model_copy(
            update={"tasks": (TaskResult(task_id="t", state=None),), "phases": {"run_s": 0.0}}
        )
        text = html.render(Result.of((samples.version("HEAD", "0" * 40, test, phases={}),)))
        assert 'class="timeline"' not in text
        assert 'class="phases"' not in text


class TestWhatStillRan:
    @staticmethod
    def bars(*tasks: TaskResult, run_s: float | None = None) -> list[tuple[float, float]]:
        """Where each task's bars begin and end, as shares of the axis."""
        plot = plots.timeline(tasks, run_s)
        assert plot is not None
        found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', plot)
        return [((float(x) - 190) / 660, (float(x) + float(width) - 190) / 660) for x, width in found]

    def test_a_task_that_still_ran_is_drawn_to_the_end(self) -> None:
        done = TaskResult(task_id="a", state="success", offset_s=0.0, queued_s=2.0, duration_s=8.0)
        runs = TaskResult(task_id="b", state="running", offset_s=10.0, queued_s=10.0)
        waits = TaskResult(task_id="c", state="queued", offset_s=50.0)
        (_, _, queued, ran, still_queued, none) = self.bars(done, runs, waits, run_s=100.0)
        assert queued == pytest.approx((0.1, 0.2))
        assert ran == pytest.approx((0.2, 1.0))
        assert still_queued == pytest.approx((0.5, 1.0))
        assert none[1] - none[0] < 0.01

    def test_what_has_ended_needs_no_end_of_the_run(self) -> None:
        done = TaskResult(task_id="a", state="success", offset_s=0.0, queued_s=2.0, duration_s=8.0)
        assert self.bars(done, run_s=100.0)[1] == pytest.approx((0.2, 1.0))

    def test_it_says_so(self) -> None:
        plot = plots.timeline([TaskResult(task_id="b", state="running", queued_s=1.0)], 9.0)
        assert plot is not None
        assert "still running" in plot


def test_verdict_cause_and_metrics_come_before_what_the_version_is_and_digests_are_folded() -> None:
    text = html.render(samples.gate_failed())
    sections = [
        part for part in re.findall(r"<section>.*?</section>", text, re.DOTALL) if "<h4>metrics" in part
    ]
    assert any('class="cause"' in part for part in sections)
    for part in sections:
        before, _, after = part.partition("<dt>commit")
        assert "<h4>metrics" in before
        assert 'class="cause"' not in after
    shown = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "sha256:" not in shown.partition("made and run with")[0]
