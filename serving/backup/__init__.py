"""Backup and restore of a whole installation, in one file each way."""

from serving.backup.making import make_backup
from serving.backup.restoring import RestoreError, restore_backup

__all__ = ["RestoreError", "make_backup", "restore_backup"]
