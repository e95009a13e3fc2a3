"""Redeploy: put another version on a host, and put back what stood before."""
