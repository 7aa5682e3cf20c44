"""Compute sessions: creating them, running code, their files, streams and services."""
