"""The steps of a run, stage by stage: one stage without `training.stacking`."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from jaxemb import distributed
from jaxemb.data import Batches
from jaxemb.reporting.display import Display
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import Trackers
from jaxemb.signals import StopRequest
from jaxemb.training.loop.compilations import compilations_of
from jaxemb.training.loop.hooks import CheckCompilations, CheckFinite, Evaluate, FirstStep, Log, Save
from jaxemb.training.loop.stepping import run_loop, to_devices
from jaxemb.training.loop.stopping import Stopping
from jaxemb.training.loop.telemetry import Profile, Telemetry
from jaxemb.training.loop.turns import turns_of
from jaxemb.training.step.program import Program


@dataclass(frozen=True)
class Stages:
    """What the stages of a run share."""

    program: Program
    batches: Batches
    checkpoints: Checkpoints
    tracker: Trackers
    display: Display
    stop: StopRequest
    evaluate: Callable[[TrainState], None]
    """Scores a state and logs the scores."""

    def train(self, state: TrainState, profile: int) -> TrainState:
        """Takes all steps that are left, and traces `profile` steps of the first stage.

        Raises:
          NotFinite: if a loss or gradient is not, in more steps than may be skipped; nothing of that step is saved.
          Stopped: after a checkpoint, if Ctrl-C or SIGTERM came.
        """
        config = self.program.config
        for layers, until in config.stages:
            if int(state.step) >= until:
                continue
            if layers != config.at_step(int(state.step)).model.encoder.num_hidden_layers:
                self.display.headline(f"stacking the encoder's layers: from here on it has {layers}")
                state = self.program.stacked(state, layers)
            state = self._train_stage(state, until, profile)
            profile = 0
        return state

    def _train_stage(self, state: TrainState, until: int, profile: int) -> TrainState:
        config, say, start = self.program.config, self.display.headline, int(state.step)
        steps = self.program.train_steps(until, state)
        objective_of = turns_of(config, self.batches, start)
        telemetry = Telemetry(config.at_step(start), state.params, self.program.mesh)
        finite = CheckFinite(config.training.skip_not_finite, self.checkpoints, say)
        save = Save(config, self.checkpoints, telemetry)
        stopping = Stopping(self.stop, save.save, config.training.steps)
        folder = RunDirectory(self.checkpoints.directory.parent).profile
        trace = Profile(folder, start, profile if distributed.is_first() else 0, say)
        with ExitStack() as stack:
            stack.enter_context(self.stop.deferred())
            progress = stack.enter_context(self.display.progress(start, config.training.steps))
            compiled = {name: stack.enter_context(compilations_of(step)) for name, step in steps.items()}
            stack.enter_context(closing(trace))
            hooks = [
                *(CheckCompilations(one, len(self.batches.sizes), name) for name, one in compiled.items()),
                finite,
                telemetry,
                FirstStep(start, telemetry, say),
                Log(config, range(start + 1, until + 1), telemetry, self.tracker, progress, finite),
                trace,
                save,
                Evaluate(config, self.evaluate, telemetry, stopping),
                stopping,  # the last: what the others do after a step is done before the run stops
            ]
            batches = stopping.with_request(telemetry.timed(self.batches.stream(start, until)))
            return run_loop(state, steps, to_devices(batches, self.program.mesh, objective_of), hooks)
