"""What a run's steps are compiled from: `jaxemb train` takes them, `jaxemb plan` compiles them for other devices."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import optax
from jax.sharding import Mesh

from jaxemb import objectives
from jaxemb.config import MAIN, TrainConfig
from jaxemb.data import Batches
from jaxemb.encoding import Towers
from jaxemb.models import Params
from jaxemb.objectives import Objective
from jaxemb.objectives.masking import TokenKinds
from jaxemb.objectives.named import named as named_objective
from jaxemb.objectives.parameters import init_params, params_of, with_merged_adapters
from jaxemb.runs.state import TrainState
from jaxemb.training.step import optimizer, several_objectives
from jaxemb.training.step.freezing import Select, select_trained
from jaxemb.training.step.parameters import params_to_start_from
from jaxemb.training.step.stacking import stack_state
from jaxemb.training.step.train_step import TrainStep, abstract_state, init_state, make_train_step


@dataclass(frozen=True)
class Program:
    """The steps of a run on a mesh."""

    config: TrainConfig
    """Resolved."""
    mesh: Mesh
    kinds: TokenKinds | None = None
    """The kinds of the vocabulary's tokens, for objectives that mask tokens."""
    objective: Objective | None = None
    """What was passed to `jaxemb.train` in place of the config's `objective`."""

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer of the whole run."""
        steps, named = max(1, self.config.training.steps), self.config.objectives
        if named:
            return several_objectives.build(self.config.optimizer, steps, list(named))
        return optimizer.build(self.config.optimizer, steps)

    @cached_property
    def trained(self) -> Select:
        """Which parameters are trained."""
        return select_trained(self.config)

    def abstract_state(self, step: int) -> TrainState:
        """Shapes, types and shardings of the state after so many steps."""
        shapes = jax.eval_shape(partial(init_params, self.config.at_step(step)), jax.random.key(0))
        return abstract_state(shapes, self.optimizer, self.mesh, self.trained)

    def first_state(self, towers: Towers | None) -> TrainState:
        """The state of a new run, which starts from `towers` or from random parameters."""
        params = params_to_start_from(self.config.at_step(0), self.mesh, towers)
        return init_state(params, self.optimizer, self.mesh, self.trained)

    def stacked(self, state: TrainState, layers: int) -> TrainState:
        """The state that the next stage starts from, whose encoder has so many layers."""
        stacking = self.config.training.stacking
        reset = stacking is not None and stacking.optimizer_state == "reset"
        return stack_state(state, layers, self.optimizer, self.mesh, trained=self.trained, reset=reset)

    def train_steps(self, until: int, state: TrainState) -> dict[str, TrainStep]:
        """The compiled step of each objective in the stage that ends with step `until`, for a state or its shapes."""
        return {name: self._train_step(name, until, state) for name in self.config.trained_objectives}

    def _train_step(self, name: str, until: int, state: TrainState) -> TrainStep:
        named = list(self.config.objectives)
        return make_train_step(
            self._loss(name, until),
            self.optimizer,
            self.mesh,
            state,
            self.config.training.seed,
            (lambda params: params_of(self.trained(params), name, named)) if named else self.trained,
            skip_not_finite=self.config.training.skip_not_finite > 0,
            name=f"train_step_{name}" if named else "train_step",
        )

    def _loss(self, name: str, until: int) -> Objective:
        model = self.config.at_step(until).model
        loss = self.objective if name == MAIN else None
        if loss is None:
            config = self.config.trained_objectives[name]
            kinds = self.kinds if config.masks_tokens else None
            loss = objectives.build(config, model, self.mesh, kinds=kinds)
        if self.config.objectives:
            loss = named_objective(name, loss)
        if model.lora is None:
            return loss
        # Merged once a step, whatever the objective does with them.
        return lambda params, batch, key: loss(with_merged_adapters(model, params), batch, key)


def describe_training(program: Program, state: TrainState, batches: Batches, examples: int) -> Iterator[str]:
    """What is said before the first step of a run on so many examples."""
    config, fsdp = program.config, program.mesh.shape["fsdp"]
    epochs = config.training.steps * config.training.batch_size / examples
    yield (
        f"model of {_count(state.params, program.trained)}, {config.training.steps:,} steps of "
        f"{config.training.batch_size} examples ({epochs:.1f} epochs, "
        f"{batches.padding_share():.0%} of the tokens padding)"
    )
    if config.model.table_rows % fsdp:
        yield (
            f"mesh.fsdp does not divide the {config.model.table_rows:,} rows of the embedding table, so every step "
            "all-gathers it: set model.vocab_multiple to a multiple of mesh.fsdp in a new run"
        )


def _count(params: Params, trained: Select) -> str:
    count, of_them = _size(params), _size(trained(params))
    note = "" if count == of_them else f" ({of_them:,} of them trained)"
    return f"{count / 1e6:.1f}M parameters{note}"


def _size(params: Params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
