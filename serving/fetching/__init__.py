"""Fetching studies from a PACS: found and listed there, then brought here like those it sends.

What is to be fetched is a row (`orders`), carried out by a durable workflow (`work`) however long
the PACS is away. Each try asks only for what is not here yet.
"""
