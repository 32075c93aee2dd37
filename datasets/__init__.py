"""What data are: sources, manifests, quality checks and patient-level splits.

Stands on ``models`` alone. The name is also that of a distribution on the package index, which must
never be installed beside this project (``tests/unit/test_house.py`` holds that).
"""
