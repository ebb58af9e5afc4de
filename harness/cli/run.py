"""How a command is run: whatever it raises becomes a message and an exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.text.console import Console


def run(command: Callable[[Console], int], cluster: str = "") -> int:
    """Run a command; whatever it raises becomes a message and an exit code.

    `cluster`: where the commands go that hints name; empty where none was asked for.
    """
    from harness.errors import HarnessError
    from harness.hints import for_cluster
    from harness.host import disk, signals
    from harness.report.text.console import Console
    from harness.report.text.crash import crash_report

    with Console() as console:
        signals.heed(lambda: os._exit(130))
        try:
            with disk.explained():
                code = command(console)
        except HarnessError as error:
            error.hint = for_cluster(error.hint, cluster) if cluster else error.hint
            console.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:  # noqa: BLE001  a bug of ours, said as such
            internal = crash_report(error)
            console.error(internal)
            code = internal.exit_code
    return code
