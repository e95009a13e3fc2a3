"""The bench itself runs: once each way, without a look at how long anything takes."""

from __future__ import annotations

import pytest

from tests.bench import nginx
from tests.needs import needs_nspawn


@pytest.mark.lab
def test_every_line_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    needs_nspawn()
    nginx.main(1)
    lines = capsys.readouterr().out.splitlines()
    assert "median" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == (
        ["before QUIT, by HUP"] * 3 + ["after QUIT, by upgrade"] * 3
    )
    assert all(float(line.split()[-4]) > 0 for line in lines[1:]), lines
