"""Flower's configuration: executed by Flower (`--conf`), whose options are this module's names.

Flower is a viewer here. Steps say how far they are in the `result` of their events, which the
default columns lack, and the history has to survive a crash, not only a clean stop.
"""

from worker.flowerstart import flower_options as _flower_options

_options = _flower_options()

address = _options.address
port = _options.port
basic_auth = _options.basic_auth

tasks_columns = "name,state,args,result,received,started,runtime,worker,uuid"
natural_time = False
max_tasks = 20_000

persistent = True
db = _options.db
state_save_interval = 10_000  # milliseconds
