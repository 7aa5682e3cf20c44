"""Servers, runtimes and drivers that the tests share. `tests/conftest.py` puts the folder above on the path."""
