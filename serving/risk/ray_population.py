"""Populations spread over machines: the same scoring on Ray Data (extra `scale`).

`score_dataset` adds the result columns that `zhuzhen risk batch` writes. Ray keeps blocks, retries
them and spreads them; where rows must stay in their order, set
`ray.data.DataContext.get_current().execution_options.preserve_order`.
"""

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from models.risk.registry import find, usable
from serving.risk.choosing import enabled_scores
from serving.risk.known import Known
from serving.risk.population import score_part

if TYPE_CHECKING:
    from ray.data import Dataset

_NOTHING = Known()


def score_dataset(
    score_id: str, people: "Dataset", *, language: str = "en", known: Known = _NOTHING
) -> "Dataset":
    """Return `people` with `value`, `unit`, `category`, `status` and `reason`; nothing is dropped.

    Args:
        score_id: of a score that is on by default or enabled.
        people: a data set with a column for each input, as for `zhuzhen risk batch`.
        language: of the reasons.
        known: what holds for everybody.

    Raises:
        InputError: the score is not known or not enabled.
    """
    usable(score_id, enabled_scores())
    scored = partial(_scored, score_id, language, known)
    return people.map_batches(scored, batch_format="pyarrow", zero_copy_batch=True)


def _scored(score_id: str, language: str, known: Known, people: pa.Table) -> pa.Table:
    return score_part(find(score_id), people, language, known)[0]
