"""The steps `deploy.redeploy`, `deploy.restore` and `probe.verify`, from the fleet file's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tasks.deploy import params as deploy
from tasks.probe import params as probe
from worker.plan import StepSpec
from worker.step import Params
from workflows.deployments import Check, Redeploy
from workflows.model import Fleet
from workflows.problems import Problem, problems_of
from workflows.templates import TemplateError, expand_tree, variables_in
from workflows.values import OWN_VARIABLES, local_path
from workflows.yamlfile import KeyPath

P = TypeVar("P", bound=Params)


def redeploy_params(
    fleet: Fleet, at: KeyPath, section: Redeploy, values: Mapping[str, str]
) -> deploy.Redeploy:
    """Expand and check a `redeploy` section that stands at `at`.

    Raises:
        UsageError: a variable has no value, or what comes of it is not allowed.
    """
    try:
        return _redeploy(at, _dump(section), values, fleet.base)
    except _Wrong as wrong:
        raise fleet.error(*wrong.problems) from None


def verify_params(
    fleet: Fleet, at: KeyPath, checks: Sequence[Check], values: Mapping[str, str]
) -> probe.Verify:
    """Expand and check a `verify` section that stands at `at`.

    Raises:
        UsageError: a variable has no value, or what comes of it is not allowed.
    """
    try:
        return _verify(at, [_dump(check) for check in checks], values)
    except _Wrong as wrong:
        raise fleet.error(*wrong.problems) from None


def trial(fleet: Fleet) -> list[Problem]:
    """Expand every `redeploy` and `verify` once, to find at loading what planning would find.

    Texts with a variable that has no value yet are not judged.
    """
    problems: list[Problem] = []
    for at, section, host in _sections(fleet):
        own = {"address": fleet.hosts[host].address, "name": host}
        data = _dump(section) if isinstance(section, Redeploy) else [*map(_dump, section)]
        values = {**dict.fromkeys(variables_in(data), "1"), **fleet.vars, **own}
        try:
            if isinstance(data, dict):
                _redeploy(at, data, values, fleet.base)
            else:
                _verify(at, data, values)
        except _Wrong as wrong:
            known = fleet.vars.keys() | own.keys()
            problems += [
                problem
                for problem in wrong.problems
                if variables_in(_find(data, problem.path[len(at) :])) <= known
            ]
    return problems


def lasting(checks: Iterable[Check]) -> list[Check]:
    """Keep of the checks what must hold for the old version too.

    A text that depends on a variable of the user's ({version}) speaks of the new version: an
    expected text is dropped, and a check that cannot be made without the variable altogether.
    """
    kept: list[Check] = []
    for check in checks:
        kind = check.kind
        data = _dump(check)
        if _speaks_of_version(data[kind].get("contains")):
            del data[kind]["contains"]
        if not _speaks_of_version(data):
            kept.append(Check.model_validate(data))
    return kept


def redeploy_step(params: deploy.Redeploy) -> StepSpec:
    """Make the step that brings the new version."""
    return StepSpec.of("deploy.redeploy", params, f"redeploy {_what(params)}")


def restore_step(params: deploy.Redeploy) -> StepSpec:
    """Make the step that brings back what stood before `redeploy_step`."""
    return StepSpec.of("deploy.restore", params, f"restore what stood before {_what(params)}")


def verify_step(params: probe.Verify) -> StepSpec:
    """Make the step that probes."""
    probes = ", ".join(_probe(check) for check in params.checks)
    return StepSpec.of("probe.verify", params, f"verify {_short(probes, 160)}")


def _speaks_of_version(tree: Any) -> bool:
    return bool(variables_in(tree) - OWN_VARIABLES)


class _Wrong(Exception):
    """A section cannot become parameters."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _redeploy(at: KeyPath, data: Any, values: Mapping[str, str], base: Path) -> deploy.Redeploy:
    expanded = _expanded(at, data, values)
    release = expanded.get("release")
    if release is not None:
        try:
            release["archive"] = str(local_path(release["archive"], base))
        except ValueError as error:
            raise _Wrong([Problem((*at, "release", "archive"), str(error))]) from None
    return _checked(deploy.Redeploy, expanded, at)


def _verify(at: KeyPath, data: Any, values: Mapping[str, str]) -> probe.Verify:
    checks: list[probe.Check] = []
    problems: list[Problem] = []
    for index, item in enumerate(data):
        here = (*at, index)
        try:
            checks.append(_checked(probe.Check, _expanded(here, item, values), here))
        except _Wrong as wrong:
            problems += wrong.problems
    if problems:
        raise _Wrong(problems)
    return probe.Verify(checks=checks)


def _expanded(at: KeyPath, data: Any, values: Mapping[str, str]) -> Any:
    try:
        return expand_tree(data, values, at)
    except TemplateError as error:
        raise _Wrong([error.problem]) from None


def _checked(kind: type[P], data: Any, at: KeyPath) -> P:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _Wrong(problems_of(error, kind, at)) from None


def _dump(section: Redeploy | Check) -> dict[str, Any]:
    return section.model_dump(exclude_none=True)


def _find(data: Any, path: KeyPath) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return data
    return data


def _sections(fleet: Fleet) -> Iterator[tuple[KeyPath, Redeploy | list[Check], str]]:
    """Yield every section to expand: where it stands, itself, and one host that it is for."""
    for name, balancer in fleet.balancers.items():
        yield ("balancers", name, "verify"), balancer.verify, name
    for name, pair in fleet.pairs.items():
        if pair.redeploy is not None:
            yield ("pairs", name, "redeploy"), pair.redeploy, pair.members[0]
        yield ("pairs", name, "verify"), pair.verify, pair.members[0]
    for name, pool in fleet.pools.items():
        first = next(iter(pool.servers))
        if pool.redeploy is not None:
            yield ("pools", name, "redeploy"), pool.redeploy, first
        yield ("pools", name, "verify"), pool.verify, first
    for name, group in fleet.nginx.items():
        yield ("nginx", name, "verify"), group.verify, group.hosts[0]


def _what(params: deploy.Redeploy) -> str:
    if params.docker is not None:
        return f"container {params.docker.name} from {params.docker.image}"
    if params.package is not None:
        version = params.package.version
        return f"package {params.package.name} {'(newest)' if version is None else version}"
    if params.systemd is not None:
        return f"{params.systemd.unit} ({params.systemd.action})"
    if params.release is not None:
        return f"release {params.release.version} in {params.release.directory}"
    return _short(params.command.run if params.command is not None else "", 80)


def _probe(check: probe.Check) -> str:
    if check.http is not None:
        return check.http.url
    if check.tcp is not None:
        return f"tcp {check.tcp.address or ''}:{check.tcp.port}"
    return _short(check.command.run if check.command is not None else "", 60)


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
