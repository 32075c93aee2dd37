"""The command line `zhuzhen`."""
