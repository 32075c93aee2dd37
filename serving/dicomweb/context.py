"""What the handlers of DICOMweb work with."""

from starlette.requests import Request

from serving.node.runtime import Runtime

PREFIX = "/dicom-web"
_LOCAL_HOSTS = ("127.0.0.1", "localhost")


def runtime_of(request: Request) -> Runtime:
    """Return the node of this process."""
    runtime: Runtime = request.app.state.node
    return runtime


def base_url(request: Request) -> str:
    """Return the address of the DICOMweb service as the sender wrote it."""
    host = request.headers.get("host", "")
    server = request.scope.get("server")
    # Some clients leave the port out of Host; on this machine it is known.
    if host in _LOCAL_HOSTS and server is not None:
        host = f"{host}:{server[1]}"
    return f"{request.url.scheme}://{host}{PREFIX}"
