"""Who sends, what is done with it, and where results go: `node.yaml`, read and explained."""

from serving.routing.facts import SeriesFacts, facts_of
from serving.routing.node_file import Node, NodeFileError, Source, read_node
from serving.routing.rules import Choice, Priority, Rule, choose

__all__ = [
    "Choice",
    "Node",
    "NodeFileError",
    "Priority",
    "Rule",
    "SeriesFacts",
    "Source",
    "choose",
    "facts_of",
    "read_node",
]
