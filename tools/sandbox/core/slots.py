"""Amounts of resources: ``{"cpu": "1", "mem": "268435456"}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

KNOWN: Final = {"cpu": "count", "mem": "bytes", "cuda.device": "count", "cuda.shares": "count"}
"""Slot → unit, for every slot that a request may name."""

SHOWN: Final = {"cpu": "count", "mem": "bytes"}
"""Those that the sandbox has, as ``/config/resource-slots`` says them."""

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtpe]?)(?:i?b)?", re.IGNORECASE)
_SUFFIXES: Final = "kmgtpe"


def size(text: Any) -> int:
    """Bytes of a text such as ``256m``, ``1g`` or ``1048576``.

    Raises:
        ValueError: It is no size.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"not a size: {text}")
    power = _SUFFIXES.index(match[2].lower()) + 1 if match[2] else 0
    return int(Decimal(match[1]) * 1024**power)


def normalised(slots: Mapping[str, Any]) -> dict[str, str]:
    """Amounts as the manager keeps them: numbers in text, sizes in bytes.

    Raises:
        ValueError: A slot that there is not, or an amount that is none.
    """
    amounts = {}
    for slot, amount in slots.items():
        if slot not in KNOWN:
            raise ValueError(f"Unknown slot type: {slot}")
        try:
            amounts[slot] = str(size(amount)) if KNOWN[slot] == "bytes" else f"{Decimal(str(amount)):f}"
        except InvalidOperation:
            raise ValueError(f"Cannot convert the slot {slot} to decimal: {amount}") from None
    return amounts


def total(amounts: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """The sum by slot."""
    sums: dict[str, Decimal] = {}
    for slots in amounts:
        for slot, amount in slots.items():
            sums[slot] = sums.get(slot, Decimal()) + Decimal(str(amount))
    return sums


def shown(slots: Mapping[str, Any]) -> str:
    """Amounts as session information shows them."""
    return str({slot: Decimal(amount) for slot, amount in slots.items()})
