"""Measurements, by hand: what a command and what a host of a roll cost. See README.md."""
