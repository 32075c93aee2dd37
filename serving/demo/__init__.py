"""The demonstration: real files through the real service, and what came back."""
