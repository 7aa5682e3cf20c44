"""How large a query may be: what one client asks must not keep the others waiting."""

from __future__ import annotations

from typing import Final

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLError, SelectionSetNode
from graphql.language import FieldNode, FragmentSpreadNode, InlineFragmentNode

MAX_LENGTH: Final = 2**17
"""Characters. The longest query of the vendor's clients has some 3,000."""
MAX_FIELDS: Final = 1000
"""Fields, each as often as fragments repeat it. A full introspection has some 300; checking takes the square of it."""


def too_large(document: DocumentNode) -> list[GraphQLError]:
    """What is wrong with the size of a document: nothing, or one error. Takes time in proportion to its text."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    known: dict[str, int] = {}

    def size(selections: SelectionSetNode | None) -> int:
        total = 0
        for selection in selections.selections if selections is not None else ():
            if isinstance(selection, FragmentSpreadNode):
                total += size_of_fragment(selection.name.value)
            elif isinstance(selection, FieldNode | InlineFragmentNode):
                total += isinstance(selection, FieldNode) + size(selection.selection_set)
        return total

    def size_of_fragment(name: str) -> int:
        if name not in known:
            known[name] = 0  # one that repeats itself is refused later
            known[name] = size(fragments[name].selection_set) if name in fragments else 0
        return known[name]

    total = sum(size(getattr(node, "selection_set", None)) for node in document.definitions)
    return [GraphQLError(f"the query has more than {MAX_FIELDS} fields")] if total > MAX_FIELDS else []
