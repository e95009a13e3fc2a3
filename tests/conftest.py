"""Fixtures and habits of all tests."""
