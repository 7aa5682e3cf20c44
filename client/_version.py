"""Which release this is. `setup.py` reads the one literal as text, the package imports it."""

__version__ = "0.1.0"


def get_user_agent() -> str:
    """The ``User-Agent`` header that sessions send by default."""
    return f"Backend.AI Client for Python {__version__}"
