"""The fleet as a whole: what a fleet file says, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from worker.errors import UsageError
from workflows.deployments import Section, drop_none
from workflows.kinds import Name, Text, UserVariable
from workflows.problems import Problem, usage_error
from workflows.sections import Balancer, Host, Nginx, Pair, Pool, Ssh
from workflows.yamlfile import Document


class Fleet(Section):
    """A fleet of hosts that Winch may touch, and what runs on them."""

    ssh: Ssh = Ssh()
    """How to reach the hosts."""
    vars: dict[UserVariable, Text] = {}
    """Defaults of the variables, used as {version}; --set KEY=VALUE wins."""
    hosts: dict[Name, Host] = Field(min_length=1)
    """Every machine that Winch may touch."""
    balancers: dict[Name, Annotated[Balancer, BeforeValidator(drop_none)]] = {}
    """HAProxy instances; the key is a host."""
    pairs: dict[Name, Pair] = {}
    """VRRP pairs."""
    pools: dict[Name, Pool] = {}
    """Servers behind HAProxy."""
    nginx: dict[Name, Nginx] = {}
    """nginx instances whose binary is upgraded in place."""

    _document: Document | None = PrivateAttr(default=None)
    _base: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, data: Any) -> Any:
        """Take `pools:` with nothing under it as no pools."""
        if not isinstance(data, dict):
            return data
        return {key: {} if value is None else value for key, value in data.items()}

    @property
    def base(self) -> Path:
        """The directory against which the file's relative paths are meant."""
        return self._base

    def error(self, *problems: Problem) -> UsageError:
        """Make an error that names file, line and key of each problem."""
        return usage_error(self._document, problems)

    def read_from(self, document: Document, base: Path) -> Self:
        """Remember the file, for errors that only planning can find."""
        self._document = document
        self._base = base
        return self

    def pairs_of(self, host: str) -> list[str]:
        """Return the pairs that a host is a member of, sorted."""
        return sorted(name for name, pair in self.pairs.items() if host in pair.members)
