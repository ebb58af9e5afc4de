"""What sitecustomize.py of the chart tells of processes that die below a task, by real Python processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.airflow.autopsy.killed import hung_after_death
from harness.airflow.logs.task_log import parse_log
from harness.airflow.rest.models import TaskInstance

FILES = Path(__file__).parents[2] / "charts/airflow/files"
WAYS = {"exit code 1": "os._exit(1)", "SIGKILL": "os.kill(os.getpid(), 9)", "SIGSEGV": "ctypes.string_at(0)"}
POOL = """
import ctypes, multiprocessing, os, sys

def die(number):
    if number == 1:
        {way}
    return number

if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        try:
            pool.map_async(die, range(4), chunksize=1).get(timeout=2)
        except multiprocessing.TimeoutError:
            print("it waits for ever")
"""
NO_DEATH = """
import multiprocessing, time

context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert pool.map(abs, [1, -2]) == [1, 2]
for end in ("terminate", "kill"):
    process = context.Process(target=time.sleep, args=(60,))
    process.start()
    getattr(process, end)()
    process.join()
    assert process.exitcode in (-15, -9)
"""
BROKEN = """
import ctypes, multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

try:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(ctypes.string_at, [0]))
except BrokenProcessPool:
    print("broken")
"""


def said(code: str, folder: Path) -> str:
    """What a script, with the chart's file on its path, wrote to its standard output and error."""
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(FILES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("end", WAYS)
def test_a_worker_that_a_pool_waits_for_is_told(end: str, method: str, tmp_path: Path) -> None:
    log = said(POOL.format(way=WAYS[end], method=method), tmp_path)
    assert "it waits for ever" in log
    task = TaskInstance("work", -1, "running", 1, 0)
    found = hung_after_death(task, parse_log(log), "the time was over", ())
    assert found is not None
    assert f"PoolWorker-{'2' if 'Worker-2' in found.message else '1'} by {end}" in found.message
    assert found.message.endswith("the time was over")


def test_what_the_program_itself_ends_is_no_news(tmp_path: Path) -> None:
    assert said(NO_DEATH, tmp_path) == ""


def test_a_process_that_was_dead_before_its_pool_ended_all(tmp_path: Path) -> None:
    lines = said(BROKEN, tmp_path).splitlines()
    assert "broken" in lines
    assert any(line.startswith("harness: process ForkProcess-") and "SIGSEGV" in line for line in lines)
