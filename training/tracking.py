"""MLflow: every training is a run, every package a registered version.

Everything lies under `ZHUZHEN_HOME/mlflow`: `mlflow.db` (SQLite) and `artifacts/`. Look at it with
`mlflow ui --backend-store-uri sqlite:///$ZHUZHEN_HOME/mlflow/mlflow.db`. No image, patient key or
file name goes there: digests, numbers and plots alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.time import get_current_time_millis

from models.store import CHALLENGER
from training.registry import PACKAGE, open_client

EXPERIMENT = "zhuzhen"
_LONGEST_PARAMETER = 500
_PARAMETERS_AT_ONCE = 90


class Tracker:
    """One MLflow run that is taken up again when its training is resumed."""

    def __init__(self, home: Path, run_file: Path, name: str, parent: str | None = None) -> None:
        """Open the run whose id is in `run_file`, or start one called `name` and write its id.

        It is shown under the run `parent`, where one is named.
        """
        store = home / "mlflow"
        self.client = open_client(home)
        self._recorded: set[tuple[str, int, float]] = set()
        if run_file.exists() and self._taken_up(run_file.read_text(encoding="utf-8").strip()):
            return
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        number = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(
                EXPERIMENT, artifact_location=(store / "artifacts").resolve().as_uri()
            )
        )
        tags = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent}
        self.run_id = self.client.create_run(number, run_name=name, tags=tags).info.run_id
        run_file.write_text(self.run_id + "\n", encoding="utf-8")

    def _taken_up(self, run_id: str) -> bool:
        """Go on with the run `run_id`; false where the registry does not know it."""
        try:
            self.client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        self.run_id = run_id
        for name in self.client.get_run(run_id).data.metrics:
            history = self.client.get_metric_history(run_id, name)
            self._recorded |= {(name, point.step, point.value) for point in history}
        return True

    def describe(self, parameters: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        """Record the configuration, nested keys joined by dots, and what the run stands on."""
        flat = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in _flat(parameters)]
        for start in range(0, len(flat), _PARAMETERS_AT_ONCE):
            self.client.log_batch(self.run_id, params=flat[start : start + _PARAMETERS_AT_ONCE])
        self.client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in _flat(tags)])

    def figures(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record numbers, for curves with the step they belong to.

        What a resumed training tells again is not recorded twice.
        """
        now = get_current_time_millis()
        metrics = [
            Metric(name, value, now, step)
            for name, value in values.items()
            if (name, step, value) not in self._recorded
        ]
        self.client.log_batch(self.run_id, metrics=metrics)

    def files(self, folder: Path, under: str) -> None:
        """Keep all files of `folder` as the run's artifacts."""
        self.client.log_artifacts(self.run_id, str(folder), under)

    def register(self, name: str, digest: str, version: str) -> int:
        """Register the run's artifact `package` as the newest version of the model `name`.

        It becomes the challenger; `zhuzhen models promote` makes champions (`training.registry`).

        Returns:
            The registry's number of the version.
        """
        for known in self.client.search_model_versions(f"name = '{name}'"):
            if known.tags.get("package_digest") == digest:
                return int(known.version)
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self.client.get_run(self.run_id).info.artifact_uri}/{PACKAGE}"
        tags = {"package_digest": digest, "package_version": version}
        made = self.client.create_model_version(name, source, self.run_id, tags=tags)
        self.client.set_registered_model_alias(name, CHALLENGER, made.version)
        return int(made.version)

    def finish(self, succeeded: bool) -> None:
        """Close the run."""
        self.client.set_terminated(self.run_id, "FINISHED" if succeeded else "FAILED")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs
