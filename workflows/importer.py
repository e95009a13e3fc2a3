"""Write a fleet file from what there is: an Ansible inventory, or a live HAProxy."""

from __future__ import annotations

from workflows.import_ansible import import_ansible
from workflows.import_haproxy import render_haproxy

__all__ = ["import_ansible", "render_haproxy"]
