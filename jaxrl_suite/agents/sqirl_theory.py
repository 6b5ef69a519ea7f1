"""SQIRL as its theory has it: nothing is shared between rounds, and every regression is of one step alone.

Laidlaw, Zhu, Russell, Dragan (ICLR 2024, arXiv 2312.08369), reconstructed from the published program and from memory,
unverified. Round i plays m fresh episodes, regresses at step l = min(i + k - 1, T) the return of random play on states
and actions, goes back to step i by fitted Q-iteration, and plays greedily by the result at step i from then on.

Regressors: `table`, means over a state and action; `linear`, ridge regression on the observation, one weight vector an
action. On one-hot observations they are the same. With many steps few samples fall on each: for T up to about 10;
`sqirl` pools them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, agent_factory
from jaxrl_suite.agents.sqirl import Regressor, Round, act_by_table, check_task, sqirl_agent
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.observations import number_of_states, state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.tabular import random_greedy


@struct.dataclass
class SQIRLTheoryConfig:
    """Settings of SQIRL's theoretical form. Floats can be swept; everything else selects a program."""

    discount: float = sweepable(1.0, "discount factor", symbol="gamma", low=0, high=1)
    ridge: float = sweepable(1e-8, "weight of the squared weights in linear regressions", symbol="lambda", above=0)
    depth: int = static(1, "steps planned on top of random play, the last included", symbol="k", low=1)
    episodes: int = static(100, "fresh episodes a round", symbol="m", unit="episodes", low=1)
    horizon: int = static(10, "steps of an episode, and rounds", symbol="T", unit="steps", low=1)
    regressor: str = static("table", "regression oracle", symbol="REGRESS", choices=("table", "linear"))


class Fit(NamedTuple):
    """One regression. samples: leading axis [m]; some may be left out (weight 0)."""

    observation: Any
    action: jax.Array
    target: jax.Array
    weight: jax.Array


def check(env: Any, env_params: Any, config: SQIRLTheoryConfig) -> None:
    check_task(env, env_params, config)
    if config.regressor == "linear" and len(env.observation_space(env_params).shape) != 1:
        raise ConfigError(f"SQIRLTheoryConfig.regressor = 'linear': observations of {env.id} must be vectors")


@agent_factory("sqirl_theory", SQIRLTheoryConfig, check=check)
def sqirl_theory(env: Any, env_params: Any, config: SQIRLTheoryConfig) -> Agent:
    """SQIRL's theoretical form on `env`. One update is one round; there are T."""
    regressor = {"table": fresh_table, "linear": fresh_linear}[config.regressor](env, env_params, config)
    steps = config.episodes * config.horizon
    info = AgentInfo("sqirl_theory", env, env_params, config, steps, config.horizon, sqirl_theory, precision="float64")
    return sqirl_agent(info, regressor)


def fitted(fit: Any, values: Any, empty: Any, played: Round, step: jax.Array, config: SQIRLTheoryConfig) -> Any:
    """Q-hat at in-episode step `step`, planned from the leaf back.

    Args:
        fit: (Fit) -> Q-hat. values: (Q-hat, observations [m, ...]) -> [m, A]. empty: a Q-hat, of the right shapes.
    """
    episodes = played.episodes
    leaf = jnp.minimum(step + config.depth - 1, config.horizon - 1)
    q = empty
    for back in range(config.depth):
        t = leaf - back
        here = jax.tree.map(lambda x, t=t: x[jnp.maximum(t, 0)], episodes)
        if back == 0:
            target = played.returns[t]
        else:
            promised = jnp.max(values(q, here.next_observation), axis=-1)
            target = here.reward + config.discount * jnp.where(here.done, 0.0, promised)
        deeper = fit(Fit(here.observation, here.action, target, here.is_alive.astype(target.dtype)))
        # Near the end of an episode there are fewer than k steps left to plan.
        q = jax.tree.map(lambda new, old, t=t: jnp.where(t >= step, new, old), deeper, q)
    return q


def fresh_table(env: Any, env_params: Any, config: SQIRLTheoryConfig) -> Regressor:
    """Q-hat is [S, A], the mean of the targets, 0 where there are none. Ties are broken at random."""
    empty = (number_of_states(env, env_params), int(env.action_space(env_params).n))

    def fit(data: Fit) -> jax.Array:
        pair = (state_number(data.observation), data.action)
        total = jnp.zeros(empty).at[pair].add(data.weight * data.target)
        return total / jnp.maximum(jnp.zeros(empty).at[pair].add(data.weight), 1.0)

    def learn(key: jax.Array, q: jax.Array, played: Round, step: jax.Array, is_over: jax.Array) -> Any:
        return fitted(fit, lambda q, seen: q[state_number(seen)], q, played, step, config), {}

    def freeze(key: jax.Array, q: jax.Array) -> jax.Array:
        return random_greedy(key, q).astype(jnp.int8)

    return Regressor(lambda key: jnp.zeros(empty), learn, freeze, act_by_table)


class LinearPolicy(NamedTuple):
    """weights: [A, d]. order: [A], among tied actions the one with the largest is played; drawn when frozen."""

    weights: jax.Array
    order: jax.Array


def fresh_linear(env: Any, env_params: Any, config: SQIRLTheoryConfig) -> Regressor:
    """Q-hat is weights [A, d] on observations [d], by ridge regression an action."""
    (width,), num_actions = env.observation_space(env_params).shape, int(env.action_space(env_params).n)

    def fit(data: Fit) -> jax.Array:
        features = data.observation.astype(data.target.dtype)
        chosen = jax.nn.one_hot(data.action, num_actions, dtype=features.dtype) * data.weight[:, None]
        gram = jnp.einsum("ma,mi,mj->aij", chosen, features, features) + config.ridge * jnp.eye(width)
        moments = jnp.einsum("ma,m,mi->ai", chosen, data.target, features)
        return jnp.linalg.solve(gram, moments[..., None])[..., 0]

    def learn(key: jax.Array, weights: jax.Array, played: Round, step: jax.Array, is_over: jax.Array) -> Any:
        return fitted(fit, lambda weights, seen: seen @ weights.T, weights, played, step, config), {}

    def freeze(key: jax.Array, weights: jax.Array) -> LinearPolicy:
        return LinearPolicy(weights, jax.random.uniform(key, (num_actions,), weights.dtype))

    def act(policy: LinearPolicy, observation: jax.Array) -> jax.Array:
        values = observation.astype(policy.weights.dtype) @ policy.weights.T
        top = jnp.max(values, axis=-1, keepdims=True)
        is_best = values >= top - LINEAR_TIE * jnp.maximum(jnp.abs(top), 1.0)
        return jnp.argmax(jnp.where(is_best, policy.order, -1.0), axis=-1).astype(jnp.int32)

    return Regressor(lambda key: jnp.zeros((num_actions, width)), learn, freeze, act)


LINEAR_TIE = 1e-6
"""Values this near, relative to the larger of 1 and the best, are tied: the ridge moves equal ones apart by less."""
