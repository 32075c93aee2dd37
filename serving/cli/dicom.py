"""`zhuzhen dicom`: its commands; what they do is imported when they are called."""

from pathlib import Path
from typing import Annotated

import typer

dicom_app = typer.Typer(
    no_args_is_help=True,
    help="DICOM peers and files: ask whether a peer is there, send files, open the way back.",
)

Peer = Annotated[
    str,
    typer.Argument(
        help="AE_TITLE@HOST:PORT, the address of a DICOMweb service, or folder:PATH.",
        metavar="DESTINATION",
    ),
]
CallingTitle = Annotated[
    str, typer.Option("--calling", help="Our AE title, as a DICOM peer knows it.")
]
TimeoutS = Annotated[float, typer.Option("--timeout-s", help="Seconds to wait for each answer.")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line to standard output, nothing else."),
]


@dicom_app.command("echo")
def echo_dicom(
    destination: Peer,
    calling: CallingTitle = "ZHUZHEN",
    timeout_s: TimeoutS = 30.0,
    json: Json = False,
) -> None:
    """Ask a destination whether it is there: C-ECHO, QIDO-RS, or a file that is written.

    The exit status is 0 only if it is and lets us in.
    """
    from serving.cli.sending import echo

    raise typer.Exit(echo(destination, calling_ae_title=calling, timeout_s=timeout_s, as_json=json))


@dicom_app.command("send")
def send_dicom(
    destination: Peer,
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files, and folders of them.", metavar="FILE")
    ],
    calling: CallingTitle = "ZHUZHEN",
    timeout_s: TimeoutS = 30.0,
    json: Json = False,
) -> None:
    """Send DICOM files: C-STORE, STOW-RS, or into a folder.

    The exit status is 0 only if the destination has confirmed every file.
    """
    from serving.cli.sending import send

    raise typer.Exit(
        send(destination, files, calling_ae_title=calling, timeout_s=timeout_s, as_json=json)
    )


@dicom_app.command("reidentify")
def reidentify_dicom(
    file: Annotated[Path, typer.Argument(help="A de-identified image.")],
    certificate: Annotated[
        Path, typer.Option(help="The `recipient_file` of the destination, in PEM.")
    ],
    key: Annotated[Path, typer.Option(help="Its private key, in PEM.")],
    json: Json = False,
) -> None:
    """Show whose image it is and what it said before it was de-identified; it is on record.

    With --json as one object of DICOM JSON.
    """
    from serving.cli.reidentifying import show_originals

    show_originals(file, certificate, key, as_json=json)


@dicom_app.command("conformance")
def show_conformance() -> None:
    """Write the DICOM Conformance Statement (PS3.2) as Markdown."""
    from serving.conformance import statement

    typer.echo(statement(), nl=False)
