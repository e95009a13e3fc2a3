"""Flower's configuration: executed by Flower (`--conf`), whose options are this module's names.

Flower is a viewer here. Steps say how far they are in the `result` of their events, which the
default columns lack, and the history has to survive a crash, not only a clean stop.
"""

from importlib import import_module as _import_module

from worker.flowerstart import flower_options as _flower_options
from worker.flowerstart import with_board as _with_board

_options = _flower_options()

address = _options.address
port = _options.port
basic_auth = _options.basic_auth
if _options.login:
    _login = _import_module("chatops.flowerlogin")  # by name: `worker` knows no front end
    _login.take_over()
    auth = "winch"  # anything: who it is, `chatops.flowerlogin` finds out
    auth_provider = "chatops.flowerlogin.LoginHandler"
    read_only = True  # a viewer may not stop a worker


def format_task(task):  # type: ignore[no-untyped-def]
    """Say where the run of a task is on the board."""
    task.kwargs = _with_board(task.kwargs)
    return task


tasks_columns = "name,state,args,result,received,started,runtime,worker,uuid"
natural_time = False
max_tasks = 20_000

persistent = True
db = _options.db
state_save_interval = 10_000  # milliseconds
