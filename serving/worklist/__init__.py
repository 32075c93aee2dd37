"""The worklist: tasks as UPS work items (PS3.18 section 11, PS3.4 annex CC; IHE AIW-I)."""
