"""The running service: decoding, gate, inference, answers, HTTP endpoints and the command line.

Stands on ``models``; never imports torch, MONAI, MLflow or ``datasets``, directly or not.
"""
