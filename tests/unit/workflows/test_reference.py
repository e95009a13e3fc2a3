"""The page about the fleet file is what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_docs_fleet_md_is_what_the_models_say() -> None:
    spec = importlib.util.spec_from_file_location("ref", ROOT / "tools" / "fleet_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python tools/fleet_reference.py"
