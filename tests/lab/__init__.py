"""Whole Debian hosts, with systemd, sshd and the daemons, booted by the tests on one machine."""
