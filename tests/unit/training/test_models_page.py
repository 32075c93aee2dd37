from training.models_page import PAGE, page


def test_page_is_what_the_packages_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m training.models_page`"
