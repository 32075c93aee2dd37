"""Risk scores at the doors of the service."""
