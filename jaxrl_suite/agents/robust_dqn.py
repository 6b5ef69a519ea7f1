"""DQN against a box of kernels: what is trained, searched and measured there, and DQN that an adversary trains.

Of domain randomisation no agent is needed: it is DQN where `randomness` is 1 (`envs/robust_control.py`).

`adversarial_dqn` is the alternation of RARL (Pinto et al. 2017, arXiv 1703.02702) with a static adversary: a block of
DQN on the adversary's kernel, then the adversary's best response to the greedy policy. Both players are other than
there: the adversary is one kernel, found by search instead of by gradients, and, as in M2TD3 (Tanabe et al. 2022, arXiv
2211.03413), its choice is blurred when an episode starts. The replay buffer keeps what earlier kernels gave.

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
from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.dqn import DQNConfig, DQNState, dqn
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.robust_control import ENDS, RobustEnv
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.q_learning import check_discrete
from jaxrl_suite.learning.worst_case import WorstCase, returns_at, worst_in, worst_of

PAPER = "the paper, table 5"
EVALUATION = 0xFFFFFFFF
"""Stream of a seed's keys for `kernel_returns`."""


@struct.dataclass
class BlockConfig(DQNConfig):
    """DQN's settings, and those of a search after a block of its updates. `total_updates` counts blocks."""

    total_updates: int = static(100, "budget: blocks", unit="blocks", low=1)
    block_updates: int = static(250, "updates of DQN in a block", unit="updates", low=1)
    search: str = static("cma", "for the worst kernel: CMA-ES, or over a grid", source=PAPER, choices=("cma", "grid"))
    population: int = static(100, "candidates a generation of CMA-ES", source=PAPER, low=4)
    generations: int = static(6, "of CMA-ES", source=PAPER, low=1)
    grid_points: int = static(10, "points an axis of the grid", source=PAPER, low=2)
    grid_ends: str = static("lower", "with both ends of an axis, or without the upper one", source=PAPER, choices=ENDS)
    search_episodes: int = static(1, "episodes of a candidate, the same starts for all", source=PAPER, low=1)


def check_robust(name: str, env: Any, env_params: Any) -> None:
    """Raises ConfigError unless `env` is of a `robust/` family with a good box and actions that can be counted."""
    if not isinstance(env, RobustEnv):
        raise ConfigError(f"{name}: {env.id}: must be a family robust/...")
    check_discrete(name, env, env_params)
    env.check_params(env_params)


def learner_config(config: BlockConfig, updates: int) -> DQNConfig:
    """DQN's part of a config, for so many updates."""
    shared = {name: getattr(config, name) for name in DQNConfig.__dataclass_fields__}
    return DQNConfig(**shared | {"total_updates": updates})


def train_block(
    key: jax.Array, learner: Agent, state: DQNState, first: jax.Array, updates: int
) -> tuple[DQNState, Metrics]:
    """So many updates of DQN from its update `first` on; metrics are of the whole block (`recording.py`)."""

    def one(carry: tuple[DQNState, Any], inputs: Any) -> tuple[tuple[DQNState, Any], None]:
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
    config: BlockConfig,
    start: Callable[[jax.Array], Any],
    act: Callable[[jax.Array, Any, Any], tuple[Any, Any]],
) -> WorstCase:
    """The kernel of the box under which a policy's mean return is least, as the config wants it searched."""
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


def kernel_returns(agent: Agent, state: Any, seeds: Sequence[int], points: Any, episodes: int = 10) -> np.ndarray:
    """Undiscounted returns of the greedy policy under fixed kernels, float32 [seed, N, episode].

    The starts are common to all kernels, but for what of a start depends on them.

    Args:
        state: states with a leading axis [seed]. points: psi [N, d], in the order of `env.names`.
    """
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), EVALUATION))(np.asarray(seeds, np.uint32))
    return np.asarray(_player(agent, episodes)(keys, state, jnp.asarray(points, jnp.float32)))


@functools.lru_cache(maxsize=32)
def _player(agent: Agent, episodes: int) -> Any:
    env, params = agent.info.env, agent.info.env_params

    def play(key: jax.Array, state: Any, points: jax.Array) -> jax.Array:
        def act(key: jax.Array, memory: Any, observation: Any) -> tuple[Any, Any]:
            return agent.act(key, state, memory, observation, True)

        def start(key: jax.Array) -> Any:
            return agent.start(key, state)

        def at(psi: jax.Array) -> Any:
            return env.at(params, psi)

        return returns_at(key, env, at, points, start, act, episodes, params.max_steps_in_episode)

    return jax.jit(jax.vmap(play, (0, 0, None)))


@struct.dataclass
class AdversarialDQNConfig(BlockConfig):
    """Settings of DQN against an adversary. Floats can be swept."""

    blur: float = sweepable(
        0.3, "part of each episode's kernel that is uniform over the box; the rest is the adversary's", low=0, high=1
    )


@struct.dataclass
class AdversarialDQNState:
    """learner: DQN's. kernel: the adversary's psi, float32 [d]."""

    learner: DQNState
    kernel: jax.Array


def _check(env: Any, env_params: Any, config: AdversarialDQNConfig) -> None:
    check_robust("adversarial_dqn", env, env_params)


@agent_factory("adversarial_dqn", AdversarialDQNConfig, _check)
def adversarial_dqn(env: Any, env_params: Any, config: AdversarialDQNConfig) -> Agent:
    """DQN on the kernel of an adversary, who moves after every update, which is a block. The first is the nominal one.

    `info.env_steps_per_update` counts the steps that are learned from; the adversary's are not counted.
    """
    settings = learner_config(config, config.total_updates * config.block_updates)

    def learner_at(psi: jax.Array) -> Agent:
        return dqn(env, env.at(env_params, psi).replace(randomness=config.blur), settings)

    def init(key: jax.Array) -> AdversarialDQNState:
        nominal = jnp.stack([jnp.asarray(env_params.kernel[name], jnp.float32) for name in env.names])
        return AdversarialDQNState(learner_at(nominal).init(key), nominal)

    def update(key: jax.Array, state: AdversarialDQNState, step: jax.Array) -> tuple[AdversarialDQNState, Metrics]:
        key_train, key_search = jax.random.split(key)
        learner = learner_at(state.kernel)
        trained, metrics = train_block(
            key_train, learner, state.learner, step * config.block_updates, config.block_updates
        )

        def play(key: jax.Array, memory: Any, observation: Any) -> tuple[Any, Any]:
            return learner.act(key, trained, memory, observation, True)

        worst = worst_kernel(key_search, env, env_params, config, lambda key: (), play)
        return AdversarialDQNState(trained, worst.point), metrics | worst_metrics(env, worst)

    def start(key: jax.Array, state: AdversarialDQNState) -> Any:
        return ()

    def act(key: jax.Array, state: AdversarialDQNState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """As DQN does."""
        return dqn(env, env_params, settings).act(key, state.learner, memory, observation, greedy)

    steps = config.block_updates * config.num_envs * config.train_frequency
    info = AgentInfo("adversarial_dqn", env, env_params, config, steps, config.total_updates, adversarial_dqn)
    return Agent(init, update, start, act, info)
