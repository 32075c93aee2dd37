"""DICOMweb (PS3.18): storing, searching and retrieving instances over HTTP."""
