"""`winch demo`: a small real fleet on this machine, rolled under load, with nothing left behind."""

from chatops.demo.run import run_demo

__all__ = ["run_demo"]
