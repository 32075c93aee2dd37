"""DICOM images from a folder or from a DICOMweb server; both are de-identified on the way in.

`dicom_folder`: `folder` below the data folder. `dicomweb`: `url` of the service, `query` (keywords
and values of QIDO-RS, PS3.18 10.6) and, where it asks for one, `token`: the environment variable
that holds a bearer token. Both need the settings of `datasets.sources.incoming`.
"""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from datasets.sources import Listing, Place
from datasets.sources.incoming import bring_in
from models.errors import DataError


def dicom_folder(place: Place) -> Listing:
    """Return a row for every file of a folder, de-identified; errors as of `bring_in`."""
    root = place.folder()
    return bring_in(place, _files(root, place.name))


def dicomweb(place: Place) -> Listing:
    """Return a row for every instance that a query finds, de-identified.

    Raises:
        DataError: the server cannot be reached, refuses, or finds nothing; see also `bring_in`.
    """
    return bring_in(place, _retrieved(place))


def _files(root: Path, name: str) -> Iterator[tuple[str, bytes]]:
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    if not paths:
        raise DataError(f"{name}/ has no files; check the folder that the description names.")
    for path in paths:
        if path.name != "DICOMDIR":
            yield f"{name}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _retrieved(place: Place) -> Iterator[tuple[str, bytes]]:
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(str(place.setting("url")), headers=_headers(place))
    query = {str(key): str(value) for key, value in dict(place.setting("query")).items()}
    try:
        found = client.search_for_instances(search_filters=query)
        if not found:
            raise DataError(f"{place.name}: the query finds no instance on the server; widen it.")
        for number, each in enumerate(found, start=1):
            dataset = client.retrieve_instance(*_uids(each))
            stream = BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            yield f"{place.name}: instance {number} of {len(found)}", stream.getvalue()
    except OSError as error:  # requests' own errors are, too
        answer = getattr(error, "response", None)
        status = "" if answer is None else f" {answer.status_code}"
        raise DataError(
            f"{place.name}: the DICOMweb server does not answer as expected "
            f"({type(error).__name__}{status}); check url, query and token of the description."
        ) from error


def _headers(place: Place) -> dict[str, str]:
    variable = place.settings.get("token")
    if variable is None:
        return {}
    token = os.environ.get(str(variable))
    if not token:
        raise DataError(f"{place.name}: the environment variable {variable} holds no token.")
    return {"Authorization": f"Bearer {token}"}


def _uids(found: dict[str, Any]) -> tuple[str, str, str]:
    """Return Study, Series and SOP Instance UID of a QIDO-RS result (PS3.18 F.2)."""
    study, series, instance = (
        found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")
    )
    return str(study), str(series), str(instance)
