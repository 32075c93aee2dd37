"""From a complete study to its delivered pre-read: durable jobs on DBOS.

The records say what is to be done and what was done; DBOS carries it out, step by step, through
kills and restarts. Importing this package does not import DBOS: `serving.jobs.worker` does.
"""
