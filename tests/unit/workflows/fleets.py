"""Fleet files for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import UsageError
from workflows.fleet import Fleet, load_fleet

EXAMPLE = Path(__file__).parent / "data" / "example.yaml"

SMALL = """\
vars: {version: "1.26"}
hosts:
  lb1: {address: 10.0.0.5}
  web1: {address: 10.0.0.11}
  web2: {address: 10.0.0.12}
  web3: {address: 10.0.0.13}
  web4: {address: 10.0.0.14}
balancers:
  lb1: {}
pools:
  web:
    balancers: [lb1]
    backends: [app]
    servers: {web1: {}, web2: {}, web3: {}, web4: {}}
    redeploy: {systemd: {unit: app.service}}
"""


def load(directory: Path, text: str) -> Fleet:
    """Load a fleet file that holds a text."""
    path = directory / "fleet.yaml"
    path.write_text(text)
    return load_fleet(path)


def refused(directory: Path, text: str | bytes) -> list[str]:
    """Load a fleet file that must be refused; return the lines of the error, without directory."""
    path = directory / "fleet.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as error:
        load_fleet(path)
    assert error.value.exit_code == 5
    return str(error.value).replace(f"{directory}/", "").split("\n")
