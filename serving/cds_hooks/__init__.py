"""CDS Hooks 2.0: risk scores as cards in the record system that a doctor has open."""
