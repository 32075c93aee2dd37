"""How a model is made: networks, training, calibration, evaluation, export and registry.

Stands on ``datasets`` and ``models``; the running service never imports it.
"""
