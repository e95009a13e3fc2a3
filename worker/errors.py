"""Every error that Winch raises on purpose.

    WinchError                     exit 1
    ├── UsageError                 exit 5   wrong usage or fleet file
    ├── ServiceError               exit 1   Redis or the database is not there
    ├── Frozen                     exit 3   a freeze keeps jobs from starting; nothing was changed
    ├── Forbidden                  exit 3   the asker may not do this; nothing was changed
    └── StepError                           a step ends, and this is why
        ├── Failed                 exit 2   the host did not do what was asked
        │   └── CommandFailed               a remote command exited with other than 0
        ├── Refused                exit 3   nothing was changed, and this is why
        ├── Unreachable            exit 4   no answer from the host; the engine tries again
        │   └── NotAllowed                  it answers but will not let us in: a retry cannot help
        └── Superseded                      this claim is no longer the lane's: stop at once
            └── Fenced                      the host itself said so (guard exit 113)

A message names the target, what was expected, what was observed, and what to do next, in one
line. All fields are passed to `super().__init__` by position, so that an error survives pickling.
"""

from __future__ import annotations


class WinchError(Exception):
    """Base of all. `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __init__(self, message: str, *args: object) -> None:
        super().__init__(message, *args)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageError(WinchError):
    """The asker's input is wrong: a fleet file, an option, a name."""

    exit_code = 5


class ServiceError(WinchError):
    """Redis or the database does not answer."""


class Frozen(WinchError):
    """A freeze keeps jobs of this scope from starting."""

    exit_code = 3


class Forbidden(WinchError):
    """The asker may not do this: a role or a scope is missing, or it takes another person."""

    exit_code = 3


class StepError(WinchError):
    """A step cannot go on."""

    exit_code = 2
    outcome = "failed"


class Failed(StepError):
    """The host did not do what was asked, or does not look as it should afterwards."""


class CommandFailed(Failed):
    """A remote command exited with another code than 0."""

    def __init__(
        self, message: str, exit_code: int = 1, stdout: str = "", stderr: str = ""
    ) -> None:
        super().__init__(message, exit_code, stdout, stderr)
        self.code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class Refused(StepError):
    """Nothing was changed, because changing it would do harm or cannot work."""

    exit_code = 3
    outcome = "refused"


class Unreachable(StepError):
    """No connection to a host, or it broke. A command under way may or may not have run."""

    exit_code = 4
    outcome = "unreachable"
    permanent = False  # True: trying again cannot help until a person has mended something


class Busy(Unreachable):
    """An earlier command still runs on the host under the same lease; it has a timeout."""


class NotAllowed(Unreachable):
    """The host key is not the expected one, our key is refused, or `become` wants a password."""

    permanent = True


class Superseded(StepError):
    """Another claim owns the lane now. Whatever this one does next would be wrong."""

    outcome = "superseded"


class Fenced(Superseded):
    """The host refused a command whose lease number is older than one it has seen."""
