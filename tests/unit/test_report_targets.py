"""Where results go, the table of versions, what a crash leaves behind, and what a file system's refusal means."""

from __future__ import annotations

import errno
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from report_samples import passed_result

from harness.engine.look import Version
from harness.errors import CauseCode, HarnessError
from harness.host import disk
from harness.report import crash, files, status
from harness.report.console import Console
from harness.report.files import Targets
