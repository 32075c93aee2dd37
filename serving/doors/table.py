"""All routes, to be found by path and method."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.routing import compile_path

from serving.doors.route import Route


@dataclass(frozen=True, slots=True)
class Found:
    """What there is at a path."""

    route: Route | None
    """None where the path does not take the method."""
    methods: tuple[str, ...]
    """Those that the path takes."""
    path: str
    """The template: what metrics and logs call it, whatever the sender wrote."""
    logged: bool


class RouteTable:
    """Looks routes up; a path without parameters costs one look into a dictionary."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = by_path.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is declared twice.")
            methods[route.method] = route
        for path, methods in by_path.items():
            if "{" in path:
                self._patterns.append((compile_path(path)[0], methods))
            else:
                self._fixed[path] = methods

    def find(self, method: str, path: str) -> Found | None:
        """Return what there is at `path`, None for nothing."""
        methods = self._at(path)
        if methods is None:
            return None
        allowed = (*methods, *(("HEAD",) if "GET" in methods else ()))
        first = next(iter(methods.values()))
        route = methods.get("GET" if method == "HEAD" else method)
        return Found(route, allowed, first.path, first.logged)

    def _at(self, path: str) -> Mapping[str, Route] | None:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        # No name of anything has U+0000, which PostgreSQL takes in no text.
        if "\0" in path:
            return None
        matching = [methods for pattern, methods in self._patterns if pattern.match(path)]
        return matching[0] if matching else None
