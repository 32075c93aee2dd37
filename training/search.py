"""A small search for better values of a configuration, by Optuna.

Each trial trains one member on the training part and is judged on the validation part; the test
part is never looked at. Trials that lag behind the median are pruned. Every trial is an MLflow run
nested in that of the search. Trials are kept as they are told, so a search that was killed goes on
where it was, the trial that was running included: its epochs are checkpoints like any training's.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from datasets.splits import Part
from models.errors import DataError
from training import metrics
from training.config import MembersConfig, TrainConfig, build_config, laid_over, read_content
from training.loop import Watch
from training.members import train_members
from training.pipeline import Places, read_study, weights_folder
from training.provenance import config_digest, digest_of_settings, plain
from training.search_space import distributions, ends, laid_out
from training.tables.config import TableConfig
from training.tables.people import read_people
from training.tables.pipeline import fitted
from training.tracking import Tracker

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
Config = TrainConfig | TableConfig
Report = Callable[[int, Mapping[str, float]], None]
"""Is told each step's scores; raises `optuna.TrialPruned` where the trial is not worth going on."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found."""

    trials: int
    """Finished ones, of this call and those before."""
    pruned: int
    score: float
    """Of the best trial, on the validation part."""
    criterion: str
    values: Mapping[str, Any]
    """Of the best trial, by key."""
    configuration: Path
    """Where the best was written."""


def search(name: str, trials: int, places: Places, watch: Watch, best: Path) -> Found:
    """Finish trials of the configuration `name` until there are `trials`; write the best.

    Args:
        name: a configuration of the project, or a YAML file.
        trials: how many, those of earlier calls with the same configuration and data included.
        places: where to read and write.
        watch: told of every trial.
        best: the YAML file to write: it extends the configuration by the best values.

    Raises:
        ConfigError: a key of the space is none of the configuration's.
        DataError: there is no space, or no trial was finished.
    """
    content = read_content(name)
    config = build_config(content)
    space = distributions(config.search)
    for values in ends(config.search):
        build_config(laid_over(content, laid_out(values)))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = _folder(config, places)
    study = _study(config, folder)
    tracker = Tracker(places.home, folder / "mlflow-run", f"{config.name} search")
    tracker.describe(plain(config) | {"search": dict(config.search.space)}, {})
    _take_up(study)
    while _finished(study) < trials:
        seed = trial_seed(config.seed, _finished(study))
        startup = config.search.startup_trials
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        trial = study.ask(space)
        changed = build_config(laid_over(content, laid_out(trial.params)))
        watch.stage(f"trial {trial.number + 1}: {told(trial.params)}")
        run_file = folder / f"trial-{_short(digest_of_settings((dict(trial.params),)))}"
        _run(study, trial, changed, places, watch, _child(places, run_file, config, trial, tracker))
    found = _found(study, config, best)
    tracker.figures({found.criterion: found.score})
    _write_best(name, found)
    tracker.finish(succeeded=True)
    return found


def _run(
    study: optuna.Study, trial: Trial, config: Config, places: Places, watch: Watch, run: Tracker
) -> None:
    criterion = _criterion(config)

    def report(step: int, scores: Mapping[str, float]) -> None:
        run.figures(dict(scores), step=step)
        if criterion not in scores:
            raise DataError(f"search.criterion is {criterion!r}; expected one of {sorted(scores)}.")
        trial.report(scores[criterion], step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        value = _score(config, places, watch, report)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        watch.stage(f"trial {trial.number + 1}: pruned")
        run.describe({}, {"search.outcome": "pruned"})
    else:
        study.tell(trial, value)
        watch.stage(f"trial {trial.number + 1}: {criterion} {value:.4f}")
        run.figures({f"best_{criterion}": value})
    run.finish(succeeded=True)


def _score(config: Config, places: Places, watch: Watch, report: Report) -> float:
    """Return the criterion that a training with `config` reaches on the validation part."""
    criterion = _criterion(config)
    if isinstance(config, TableConfig):
        scores = _score_people(config, places.data)
        report(0, scores)
        return scores[criterion]
    config = replace(config, members=MembersConfig())
    study = read_study(config, places)
    weights = weights_folder(config, study, places.home)
    _, (each,) = train_members(config, study, weights, Reporting(watch, report))
    values = [scores[criterion] for scores in each]
    return values[-1] if config.selection.keep == "last" else max(values)


def _score_people(config: TableConfig, data: Path) -> dict[str, float]:
    people = read_people(config, data)
    held = people.known(Part.VALIDATION)
    log_odds = fitted(config, people).log_odds(people.values[held])
    truth, weights = people.truth[held], people.weights[held]
    lost = np.logaddexp(0, np.where(truth, -log_odds, log_odds))
    return {
        "auc": metrics.auc(truth, log_odds, weights),
        "log_likelihood": -float(np.average(lost, weights=weights)),
    }


class Reporting:
    """Passes on what a training tells, and reports each epoch, which may end the trial."""

    def __init__(self, watch: Watch, report: Report) -> None:
        self._watch = watch
        self._report = report

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self._watch.stage(text)

    def step(self, done: int, total: int) -> None:
        """A batch is done."""
        self._watch.step(done, total)

    def epoch(self, member: int, epoch: int, scores: dict[str, float]) -> None:
        """An epoch is done; raises what `report` raises."""
        self._watch.epoch(member, epoch, scores)
        self._report(epoch, scores)


def _study(config: Config, folder: Path) -> optuna.Study:
    journal = JournalFileBackend(str(folder / "trials.log"))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(journal),
        study_name=config.name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=config.search.startup_trials),
    )


def _take_up(study: optuna.Study) -> None:
    """Try again what was running when the search was killed; its checkpoint is still there."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def trial_seed(seed: int, finished: int) -> int:
    """Return the seed of a trial: its own, so that an interrupted search draws as if it was not.

    Hashed: what neighbouring seeds draw first lies close together, and so did the first trials.
    """
    return int(np.random.SeedSequence((seed, finished)).generate_state(1)[0])


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(states=_FINISHED))


def _child(
    places: Places, run_file: Path, config: Config, trial: Trial, parent: Tracker
) -> Tracker:
    title = f"{config.name} trial {trial.number + 1}"
    run = Tracker(places.home, run_file, title, parent=parent.run_id)
    run.describe(trial.params, {"search.trial": trial.number})
    return run


def _found(study: optuna.Study, config: Config, best: Path) -> Found:
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        raise DataError("No trial of the search was finished; ask for more trials.")
    winner: FrozenTrial = study.best_trial
    pruned = len(study.get_trials(states=(TrialState.PRUNED,)))
    score = float(winner.value or 0.0)
    finished = len(complete) + pruned
    return Found(finished, pruned, score, _criterion(config), winner.params, best)


def _write_best(name: str, found: Found) -> None:
    """Write what extends the configuration by the best values, whole or not at all."""
    path = found.configuration
    path.parent.mkdir(parents=True, exist_ok=True)
    base = name
    if name.endswith((".yaml", ".yml")):
        base = os.path.relpath(Path(name).resolve(), path.parent.resolve())
    told = (
        f"# The best of {found.trials} trials ({found.pruned} pruned): {found.criterion} "
        f"{found.score:.4f} on the validation part.\n"
    )
    part = path.with_name(f".{path.name}.part")
    content = {"extends": base, **laid_out(found.values)}
    part.write_text(told + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    part.replace(path)


def _folder(config: Config, places: Places) -> Path:
    """Return the folder of the search; other values, another space or other data get another."""
    if isinstance(config, TableConfig):
        people = read_people(config, places.data)
        data = people.split.digest_for(people.manifest)
    else:
        study = read_study(config, places)
        data = study.split.digest_for(study.manifest)
    decisive = (config_digest(config), data, plain(config.search))
    folder = (
        places.home
        / "training"
        / (f"{config.name}-{config.version}-search-{_short(digest_of_settings(decisive))}")
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _criterion(config: Config) -> str:
    if config.search.criterion:
        return config.search.criterion
    return "auc" if isinstance(config, TableConfig) else config.selection.criterion


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def told(values: Mapping[str, Any]) -> str:
    """Return values by key as people read them."""
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )
