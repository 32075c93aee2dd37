"""Models of people: from a table to a package with exact contributions."""
