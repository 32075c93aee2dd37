import logging
import threading
import warnings

import pytest

from models.quiet import quiet_decoders


def test_warnings_and_records_are_dropped_inside_only(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pydicom")

    with caplog.at_level(logging.DEBUG), quiet_decoders():
        warnings.warn("Invalid value 'Wang^Xiaoming'", UserWarning, stacklevel=1)
        logger.warning("Invalid value 'Wang^Xiaoming'")
    logger.warning("after")

    assert [record.message for record in caplog.records] == ["after"]
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_filters_are_as_before_after_many_threads() -> None:
    before = list(warnings.filters)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(300):
                with quiet_decoders():
                    warnings.warn("dropped", UserWarning, stacklevel=1)
        except UserWarning as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert list(warnings.filters) == before


def test_warnings_are_heard_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), quiet_decoders():
        raise ValueError("broken")

    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
