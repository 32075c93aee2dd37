"""FHIR R4: what comes in as resources, and what goes out as them."""
