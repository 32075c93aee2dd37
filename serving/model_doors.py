"""At which door each kind of model answers."""

from collections.abc import Mapping

from models.errors import OtherKindError
from models.preprocessing import ImageKind

DOORS: Mapping[str, str] = {
    ImageKind.RADIOGRAPH: "/v1/recognize",
    ImageKind.TILE: "/v1/classify-pathology",
    "table": "/v1/score-risk",
}
_TAKES: Mapping[str, str] = {
    ImageKind.RADIOGRAPH: "reads a radiograph",
    ImageKind.TILE: "reads a tile of a stained slide",
    "table": "takes the inputs of a person as JSON",
}


def other_door(error: OtherKindError) -> str:
    """Return what to do with an input that was sent to a model of another kind."""
    return (
        f"The model {error.model} {_TAKES[error.kind]}; POST it to {DOORS[error.kind]}, or name a "
        "model that takes what was sent."
    )
