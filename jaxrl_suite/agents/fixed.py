"""Players that learn nothing: to play against, to search from, to compare with.

`uniform_play` and `first_action` need only to know what is legal; `table_play` plays a joint policy of a game written
out, which is its state: `run = train(table_play(env, game))`, or any array [I, A] in its place.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.memoryless import play_by
from jaxrl_suite.agents.mirror_descent import check_game
from jaxrl_suite.config import static
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.games.policies import softmax_policy
from jaxrl_suite.learning.q_learning import check_discrete, legal_actions


@struct.dataclass
class FixedConfig:
    """Settings of a player that learns nothing."""

    total_updates: int = static(1, "budget: updates, in which nothing happens", low=1)


def _check(env: Any, env_params: Any, config: FixedConfig) -> None:
    check_discrete("fixed play", env, env_params)


def _legal(env: Any, env_params: Any, observation: Any) -> jax.Array:
    """bool [A]; where the environment is no game, all actions are."""
    legal = legal_actions(env, env_params)(observation)
    return jnp.ones(int(env.action_space(env_params).n), bool) if legal is None else legal


def _fixed(
    factory: Any, env: Any, env_params: Any, config: Any, init: Callable[[], Any], probabilities: Any, precision: str
) -> Agent:
    """An agent whose state stays `init()` and which plays by `probabilities(state, observation)`, [A]."""

    def start_state(key: jax.Array) -> Any:
        return init()

    def update(key: jax.Array, state: Any, step: jax.Array) -> tuple[Any, Metrics]:
        return state, {"episode/count": jnp.zeros((), jnp.int32)}

    name, total, play = factory.agent_name, config.total_updates, play_by(probabilities)
    info = AgentInfo(name, env, env_params, config, 1, total, factory, precision=precision, policy=play.policy)
    return Agent(start_state, update, play.start, play.act, info)


@agent_factory("uniform_play", FixedConfig, _check)
def uniform_play(env: Any, env_params: Any, config: FixedConfig) -> Agent:
    """Every legal action alike. Its state is one number without meaning."""

    def probabilities(state: Any, observation: Any) -> jax.Array:
        legal = _legal(env, env_params, observation).astype(jnp.float32)
        return legal / jnp.sum(legal, axis=-1, keepdims=True)

    return _fixed(uniform_play, env, env_params, config, lambda: jnp.zeros(()), probabilities, "float32")


@agent_factory("first_action", FixedConfig, _check)
def first_action(env: Any, env_params: Any, config: FixedConfig) -> Agent:
    """Always the lowest legal action. Its state is one number without meaning."""

    def probabilities(state: Any, observation: Any) -> jax.Array:
        legal = _legal(env, env_params, observation)
        return jax.nn.one_hot(jnp.argmax(legal, axis=-1), legal.shape[-1], dtype=jnp.float32)

    return _fixed(first_action, env, env_params, config, lambda: jnp.zeros(()), probabilities, "float32")


@agent_factory("table_play", FixedConfig, check_game)
def table_play(env: Any, env_params: Any, config: FixedConfig) -> Agent:
    """A joint policy of a game written out, float64 [I, A]: its state, uniform at first."""

    def init() -> jax.Array:
        legal = jnp.asarray(env_params.legal)
        return softmax_policy(jnp.zeros(legal.shape), legal)

    def probabilities(state: Any, observation: Any) -> jax.Array:
        return jnp.asarray(state)[state_number(observation)]

    return _fixed(table_play, env, env_params, config, init, probabilities, "float64")
