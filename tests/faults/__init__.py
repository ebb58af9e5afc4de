"""What goes wrong, done for real: broken DAGs, lost pods, killed processes, killed commands.

Part of `pytest`. What is done to a cluster itself is done to a disposable one, `harness-faults`.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The helpers of the end-to-end tests, for pytest and for `python -m tests.faults.random_kills`.
sys.path.append(str(Path(__file__).parents[1] / "e2e"))
