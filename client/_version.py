"""The one literal that says which release this is; `setup.py` reads it as text, the package imports it."""

__version__ = "0.1.0"
