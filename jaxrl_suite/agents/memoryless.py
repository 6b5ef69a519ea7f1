"""Playing by a policy without memory: what `Agent` and `AgentInfo` ask for, from its probabilities alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import precision


class Play(NamedTuple):
    """start, act: as in `Agent`. policy: as in `AgentInfo`."""

    start: Callable[..., Any]
    act: Callable[..., tuple[Any, Any]]
    policy: Callable[..., tuple[jax.Array, Any]]


def play_by(probabilities: Callable[[Any, Any], jax.Array]) -> Play:
    """Draws actions from `probabilities(state, observation)`, [A]; greedily the likeliest, the lowest among equals."""

    def start(key: jax.Array, state: Any) -> Any:
        return ()

    def policy(state: Any, memory: Any, observation: Any) -> tuple[jax.Array, Any]:
        return probabilities(state, observation), memory

    def act(key: jax.Array, state: Any, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        row = probabilities(state, observation)
        action = jnp.argmax(row) if greedy else jax.random.categorical(key, jnp.log(row))
        return action.astype(jnp.int32), memory

    return Play(start, act, policy)


def needs_memory(agent: Agent) -> bool:
    """Whether an episode's memory is more than nothing."""
    memory = jax.eval_shape(lambda key: agent.start(key, agent.init(key)), jax.random.key(0))
    return bool(jax.tree.leaves(memory))


def policy_table(run: Any) -> np.ndarray:
    """What the members of a run in self-play play at every information set of their game, float64 [seed, I, A].

    Args:
        run: of an agent that knows its policy, without memory, on a game written out.

    Raises:
        ConfigError: for a run of another agent, or on anything else.
    """
    info = run.agent.info
    game, policy = info.env_params, info.policy
    if not hasattr(game, "legal"):
        raise ConfigError(f"{info.env_id}: must be a game written out, as make('game/kuhn_poker')")
    if policy is None or needs_memory(run.agent):
        raise ConfigError(f"{info.name}: must know its policy (AgentInfo.policy) and need no memory")

    def one(state: Any) -> jax.Array:
        infosets = jnp.arange(len(game.legal))
        return jax.vmap(lambda i: policy(state, (), info.env.observation_of(i, game))[0])(infosets)

    with precision(info.precision):
        weights = np.asarray(jax.jit(jax.vmap(one))(run.state), np.float64)
    return weights / weights.sum(axis=-1, keepdims=True)
