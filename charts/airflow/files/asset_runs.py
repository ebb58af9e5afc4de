"""Runs that assets trigger are made, none whose time has come: a version runs what it is asked to, and what follows."""

import os


def only() -> None:
    """Let this process, which becomes the scheduler, make no run but those that assets trigger.

    `[scheduler] use_job_schedule = False` stops both kinds. Airflow reads it as the scheduler begins, and before 3.2 as
    airflow.settings is imported.
    """
    from airflow import settings
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    if not hasattr(SchedulerJobRunner, "_create_dag_runs"):
        print(
            "this Airflow makes its runs in another way: those that assets trigger are not made", flush=True
        )
        return
    SchedulerJobRunner._create_dag_runs = lambda *_, **__: None
    os.environ["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = "True"
    if hasattr(settings, "USE_JOB_SCHEDULE"):  # read once, as this process's parent imported it
        settings.USE_JOB_SCHEDULE = True
