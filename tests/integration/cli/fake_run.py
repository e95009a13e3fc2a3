"""Start a run from a plan that stands as JSON on standard input; print its number."""

from __future__ import annotations

import sys

from worker.app import engine
from worker.plan import Plan

run_id = engine().create_run(Plan.model_validate_json(sys.stdin.read()), requested_by="cli:test")
engine().advance(run_id)
print(run_id)
