"""The commands, what they take, and their help.

What a command does is imported when it is called: help and the list of models need neither ONNX
Runtime nor BentoML, which take a second to import.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from models.errors import ZhuzhenError
from serving.cli.audit import audit_app
from serving.cli.consents import consents_app
from serving.cli.dicom import dicom_app
from serving.cli.encryption import encryption_app
from serving.cli.fetching import node_app
from serving.cli.identity_commands import add_identity_commands
from serving.cli.installed_commands import add_installed_commands
from serving.cli.node import jobs_app, route_app
from serving.cli.person import person_app
from serving.cli.quarantine import add_quarantine_commands
from serving.cli.risk import risk_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Zhuzhen (助诊): pre-reads of medical images. Decision support for professionals; not a "
    "cleared medical device. / 供专业人员辅助决策；未经医疗器械注册审批。",
)
models_app = typer.Typer(
    no_args_is_help=True,
    help="Model packages: list them, show what they are for, check that they are intact.",
)
app.add_typer(models_app, name="models")
app.add_typer(jobs_app, name="jobs")
app.add_typer(route_app, name="route")
add_quarantine_commands(node_app)
app.add_typer(node_app, name="node")
app.add_typer(dicom_app, name="dicom")
app.add_typer(audit_app, name="audit")
app.add_typer(encryption_app, name="encryption")
app.add_typer(person_app, name="person")
app.add_typer(consents_app, name="consents")
app.add_typer(risk_app, name="risk")

Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]
Model = Annotated[
    str, typer.Argument(help="NAME (its champion, else its newest version) or NAME@VERSION.")
]


@app.command()
def predict(
    model: Model,
    files: Annotated[
        list[Path],
        typer.Argument(help="DICOM, PNG or JPEG files; for people, tables.", metavar="FILE"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write a picture of each pre-read into this folder.", file_okay=False),
    ] = None,
    json: Json = False,
) -> None:
    """Read radiographs, tiles, or people from a table (CSV, Parquet).

    The exit status is 0 when every file was answered; that an image is refused, or its contents
    are unreadable, is an answer. It is 1 when a file could not be opened.
    """
    from serving.cli.prediction import predict_files

    raise typer.Exit(predict_files(model, files, out=out, as_json=json))


TlsCertificate = Annotated[
    Path | None,
    typer.Option(
        help="Chain of certificates, PEM.", dir_okay=False, envvar="ZHUZHEN_TLS_CERTIFICATE"
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        help="Private key of the certificate, PEM.", dir_okay=False, envvar="ZHUZHEN_TLS_KEY"
    ),
]


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 127.0.0.1: this machine alone.")
    ] = ("127.0.0.1"),
    port: Annotated[
        int, typer.Option(help="TCP port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 3000,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name that it answers under; several times for several."),
    ] = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    behind_proxy: Annotated[
        str | None, typer.Option(help="Address of the reverse proxy that ends TLS.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Tell the address, once it answers, as a JSON object.")
    ] = False,
) -> None:
    """Run the service until it is interrupted.

    On another address than this machine's own it needs TLS, or a reverse proxy that ends it, and
    a name. The first start prints how to log in, once.
    """
    from serving.cli.serving import serve as serve_until_stopped

    serve_until_stopped(
        host,
        port,
        names=name or [],
        certificate=tls_certificate,
        key=tls_key,
        proxy=behind_proxy,
        as_json=json,
    )


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for summary.json and the pictures.", file_okay=False)
    ] = Path("demo-output"),
    json: Json = False,
) -> None:
    """Send example radiographs, and files it must refuse, through the real service."""
    from serving.demo.tour import run_demo

    raise typer.Exit(run_demo(out, as_json=json))


@app.command()
def doctor(json: Json = False) -> None:
    """Check the configuration and explain each point.

    The exit status is 1 if something that the service promises does not hold.
    """
    from serving.cli.keeping_keys import see_doctor

    raise typer.Exit(see_doctor(as_json=json))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="New file for the backup.", dir_okay=False)],
    json: Json = False,
) -> None:
    """Write records, audit record, objects and wrapped keys into one file, while the service runs.

    The master key is not in it.
    """
    from serving.cli.safekeeping import back_up

    raise typer.Exit(back_up(target, as_json=json))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="File that zhuzhen backup wrote.", exists=True)],
    json: Json = False,
) -> None:
    """Put a backup into an empty ZHUZHEN_HOME and database, and verify the audit record."""
    from serving.cli.safekeeping import restore as restore_file

    raise typer.Exit(restore_file(source, as_json=json))


@models_app.command("list")
def list_models(json: Json = False) -> None:
    """List the packages that can be used."""
    from serving.cli.packages import list_packages

    list_packages(as_json=json)


@models_app.command("show")
def show_model(model: Model, json: Json = False) -> None:
    """Say what a package is for, what it finds and how it measured."""
    from serving.cli.packages import show_package

    show_package(model, as_json=json)


@models_app.command("verify")
def verify_models(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="NAME or NAME@VERSION; by default all packages.", metavar="[MODEL]..."),
    ] = None,
    json: Json = False,
) -> None:
    """Check every file of packages against the digests they were released with.

    The exit status is 0 only when all of them are intact.
    """
    from serving.cli.packages import verify_packages

    raise typer.Exit(verify_packages(models or [], as_json=json))


add_identity_commands(app)
add_installed_commands(app, {"models": models_app, "risk": risk_app})


def main() -> None:
    """Run the command line; the process ends with the command's exit status."""
    try:
        app()
    except ZhuzhenError as error:
        _fail(str(error))
    except OSError as error:
        told = error.strerror or type(error).__name__
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{told}. Check the path, its permissions and the space that is left.")


def _fail(told: str) -> NoReturn:
    typer.echo(f"zhuzhen: {told}", err=True)
    sys.exit(1)
