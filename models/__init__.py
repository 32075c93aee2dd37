"""What a model is: its contract, preprocessing, code tables and released packages.

The lowest layer: imports neither torch nor any of the project's other packages.
"""
