"""What the conformance statement says of DICOMweb, written from the code that does it."""

from collections.abc import Iterable

from serving.dicomweb.matching import KEYWORDS, MOST_RESULTS


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def dicomweb() -> str:
    """Return the section."""
    searched = [(level.name.lower(), ", ".join(names)) for level, names in KEYWORDS.items()]
    return f"""### DICOMweb

As origin server: STOW-RS, QIDO-RS and WADO-RS of PS3.18 chapter 10; [http.md](http.md) lists the
routes and [imaging-node.md](imaging-node.md) how they behave. What is found has all attributes
of its level and of those above it, and is found by them, by keyword or as eight hexadecimal digits:

{table(("level", "attributes"), searched)}

UIDs and ModalitiesInStudy match lists with commas; dates and times a value or a range; names with
wildcards and without regard to case, or by `fuzzymatching`; others with the wildcards `*` and `?`.
`limit` ({MOST_RESULTS} at most), `offset`, `fuzzymatching` and `includefield` are known. Any other
attribute is refused (400), and so is one of a level below.

As user agent, for results: `POST {{base}}/studies` with
`multipart/related; type="application/dicom"`, files as they are, 32 MiB in a request; the answer is
asked for as `application/dicom+json` and read object by object. HTTP Basic or bearer
authentication, TLS 1.2 or newer.

As user agent, for studies that are fetched: `GET {{base}}/studies` by StudyInstanceUID,
AccessionNumber or PatientID, `GET {{base}}/studies/{{study}}/instances`, both page by page, and
each instance by `GET .../instances/{{instance}}` as
`multipart/related; type="application/dicom"; transfer-syntax=*`."""
