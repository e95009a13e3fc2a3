"""Probes: does it answer, and with what?"""
