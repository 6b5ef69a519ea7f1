"""What agents that learn against a box of kernels share: blocks of a learner's updates, and searches between them.

Of domain randomisation no agent is needed: it is a learner where `randomness` is 1 (`envs/robust_control.py`).

Symbols: psi a kernel's parameters, d of them; Psi their box.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite import recording
from jaxrl_suite.agent import Agent, Metrics
from jaxrl_suite.config import static
from jaxrl_suite.envs.robust_control import ENDS, RobustEnv
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.worst_case import WorstCase, returns_at, worst_in, worst_of

PAPER = "the paper, table 5"
EVALUATION = 0xFFFFFFFF
"""Stream of a seed's keys for `kernel_returns`."""


@struct.dataclass
class BlockSettings:
    """Of a search after a block of a learner's updates; combined with the learner's own. `total_updates` counts
    blocks."""

    total_updates: int = static(100, "budget: blocks", unit="blocks", low=1)
    block_updates: int = static(250, "updates of the learner in a block", unit="updates", low=1)
    search: str = static("cma", "for the worst kernel: CMA-ES, or over a grid", source=PAPER, choices=("cma", "grid"))
    population: int = static(100, "candidates a generation of CMA-ES", source=PAPER, low=4)
    generations: int = static(6, "of CMA-ES", source=PAPER, low=1)
    grid_points: int = static(10, "points an axis of the grid", source=PAPER, low=2)
    grid_ends: str = static("lower", "with both ends of an axis, or without the upper one", source=PAPER, choices=ENDS)
    search_episodes: int = static(1, "episodes of a candidate, the same starts for all", source=PAPER, low=1)


def check_robust(name: str, env: Any, env_params: Any, check_actions: Callable[[str, Any, Any], Any]) -> None:
    """Raises ConfigError unless `env` is of a `robust/` family with a good box, and actions that the learner takes."""
    if not isinstance(env, RobustEnv):
        raise ConfigError(f"{name}: {env.id}: must be a family robust/...")
    check_actions(name, env, env_params)
    env.check_params(env_params)


def learner_config(kind: Any, config: Any, updates: int, **changes: Any) -> Any:
    """The learner's part of a config, of class `kind`, for so many updates."""
    shared = {name: getattr(config, name) for name in kind.__dataclass_fields__}
    return kind(**shared | {"total_updates": updates} | changes)


def steps_of_block(config: Any) -> int:
    """Environment steps that are learned from in a block."""
    return config.block_updates * config.num_envs * config.train_frequency


def train_block(key: jax.Array, learner: Agent, state: Any, first: jax.Array, updates: int) -> tuple[Any, Metrics]:
    """So many updates of the learner from its update `first` on; metrics are of the whole block (`recording.py`)."""

    def one(carry: tuple[Any, Any], inputs: Any) -> tuple[tuple[Any, Any], None]:
        (state, record), (key, step) = carry, inputs
        state, metrics = learner.update(key, state, step)
        return (state, recording.write(record, jnp.int32(0), metrics, updates)), None

    shapes = jax.eval_shape(learner.update, key, state, first)[1]
    inputs = (jax.random.split(key, updates), first + jnp.arange(updates))
    (state, record), _ = jax.lax.scan(one, (state, recording.empty(shapes, 1, updates)), inputs)
    return state, {name: values[0] for name, values in recording.finish(record).items()}


def worst_kernel(
    key: jax.Array,
    env: Any,
    env_params: Any,
    config: Any,
    start: Callable[[jax.Array], Any],
    act: Callable[[jax.Array, Any, Any], tuple[Any, Any]],
) -> WorstCase:
    """The kernel of the box under which a policy's mean return is least, as the `BlockSettings` want it searched."""
    key_play, key_search = jax.random.split(key)
    limit = env_params.max_steps_in_episode

    def at(psi: jax.Array) -> Any:
        return env.at(env_params, psi)

    def evaluate(points: jax.Array) -> jax.Array:
        return returns_at(key_play, env, at, points, start, act, config.search_episodes, limit).mean(axis=-1)

    if config.search == "grid":
        return worst_of(evaluate, env.grid(env_params, config.grid_points, config.grid_ends))
    low, high = env.bounds(env_params)
    return worst_in(key_search, evaluate, low, high, config.population, config.generations)


def worst_metrics(env: RobustEnv, worst: WorstCase) -> Metrics:
    """`worst/return`, and `worst/NAME` for every uncertain parameter."""
    return {"worst/return": worst.value, "worst/broken": worst.broken} | {
        f"worst/{name}": worst.point[i] for i, name in enumerate(env.names)
    }


def kernel_returns(
    agent: Agent, state: Any, seeds: Sequence[int], points: Any, episodes: int = 10, greedy: bool = True
) -> np.ndarray:
    """Undiscounted returns of the policy under fixed kernels, float32 [seed, N, episode].

    The starts are common to all kernels, but for what of a start depends on them.

    Args:
        state: states with a leading axis [seed]. points: psi [N, d], in the order of `env.names`. greedy: the
            policy's mode instead of a sample.
    """
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), EVALUATION))(np.asarray(seeds, np.uint32))
    return np.asarray(_player(agent, episodes, greedy)(keys, state, jnp.asarray(points, jnp.float32)))


@functools.lru_cache(maxsize=32)
def _player(agent: Agent, episodes: int, greedy: bool) -> Any:
    env, params = agent.info.env, agent.info.env_params

    def play(key: jax.Array, state: Any, points: jax.Array) -> jax.Array:
        def act(key: jax.Array, memory: Any, observation: Any) -> tuple[Any, Any]:
            return agent.act(key, state, memory, observation, greedy)

        def start(key: jax.Array) -> Any:
            return agent.start(key, state)

        def at(psi: jax.Array) -> Any:
            return env.at(params, psi)

        return returns_at(key, env, at, points, start, act, episodes, params.max_steps_in_episode)

    return jax.jit(jax.vmap(play, (0, 0, None)))
