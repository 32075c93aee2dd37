"""The imaging node: listener, archive and worker of one installation, opened and closed as one."""
