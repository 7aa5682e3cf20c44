"""Compute sessions that really run."""
