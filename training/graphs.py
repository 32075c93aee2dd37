"""The exported graphs with everything that is fitted to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.splits import Part
from models.calibration import Calibration
from models.reference import Reference
from training import export, quantisation
from training.batches import Prepare
from training.config import TrainConfig
from training.fitting import calibrate, held_out, make_reference
from training.graph_run import GraphRunner, Outputs
from training.loop import Watch
from training.released_graph import ReleasedGraph
from training.study_data import StudyData


@dataclass(frozen=True, slots=True)
class Graphs:
    """The exported graphs with what was fitted to them."""

    onnx: Path
    onnx_int8: Path | None
    """`None` where the accuracy gate refused it."""
    parity: export.Parity
    gate: quantisation.QuantisationGate
    runner: GraphRunner
    """Runs the FP32 graph."""
    calibration: Calibration
    reference: Reference
    outputs: Mapping[Part, Outputs]
    """Of the FP32 graph, for the validation and the test part."""


def export_graph(
    config: TrainConfig, study: StudyData, graph: ReleasedGraph, path: Path
) -> export.Parity:
    """Write `graph` to `path` and hold it against PyTorch on validation images.

    Raises:
        ExportRefusedError: the exported graph does not answer as the network does.
    """
    export.write_onnx(graph, (config.input.channels, config.input.side_px), path)
    few = study.pixels[study.indices(Part.VALIDATION)[: config.export.parity_images]]
    return export.check_parity(graph, path, Prepare(config.input)(few).numpy(), config.export)


def fit_graphs(
    config: TrainConfig, study: StudyData, path: Path, parity: export.Parity, watch: Watch
) -> Graphs:
    """Fit calibration and reference to the graph at `path`, and quantise it."""
    watch.stage("calibrating")
    threads = config.optimisation.threads
    runner = GraphRunner(path, config.input, threads)
    outputs = {part: judged_outputs(study, runner, part) for part in (Part.VALIDATION, Part.TEST)}
    calibration = calibrate(config, study, runner, outputs[Part.VALIDATION])
    watch.stage("fitting the reference")
    reference = make_reference(config, study, runner, outputs[Part.VALIDATION])
    watch.stage("quantising, with the accuracy gate")
    int8 = path.with_suffix(".int8.onnx")
    quantisation.quantise(path, int8, _range_inputs(config, study), config.quantisation)
    gate = quantisation.judge(
        outputs[Part.VALIDATION],
        judged_outputs(study, GraphRunner(int8, config.input, threads), Part.VALIDATION),
        study.manifest.targets()[study.judged(Part.VALIDATION)] == 1,
        calibration,
        reference,
        config.quantisation,
    )
    kept = int8 if gate.accepted else None
    return Graphs(path, kept, parity, gate, runner, calibration, reference, outputs)


def judged_outputs(study: StudyData, runner: GraphRunner, part: Part) -> Outputs:
    """Return what a graph says of what stands for `part`; see `fitting.held_out`."""
    outputs = runner.on_images(study.pixels[study.judged(part)])
    return held_out(study, outputs) if part is Part.VALIDATION else outputs


def _range_inputs(config: TrainConfig, study: StudyData) -> NDArray[np.float32]:
    training = study.indices(Part.TRAINING)
    every = max(1, len(training) // config.quantisation.calibration_images)
    inputs: NDArray[np.float32] = Prepare(config.input)(study.pixels[training[::every]]).numpy()
    return inputs
