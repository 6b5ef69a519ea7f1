"""A deterministic environment written out as a table: all states it can reach, breadth first, equal ones merged."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.params import leaf_name
from jaxrl_suite.envs.successors import SuccessorMDP
from jaxrl_suite.errors import ConfigError

BLOCK = 256
"""States stepped at once: frontiers of any size share a program."""

CLOCKS = ("time", "steps")
"""Names of state leaves that only count steps."""


class Enumeration(NamedTuple):
    """mdp: the table, its terminal state last. states: the environment's states in the table's order, NumPy leaves
    [S, ...] (without the terminal one), clocks at zero steps. observations: what each of them shows, [S, ...]."""

    mdp: SuccessorMDP
    states: Any
    observations: Any


def enumerate_env(
    env: BaseEnv, params: Any, horizon: int, clocks: tuple[str, ...] = CLOCKS, max_states: int = 1_000_000
) -> Enumeration:
    """Every state that some actions lead to from the start, at any time, with next states and rewards.

    Args:
        horizon: T of the table, in steps.
        clocks: names of leaves of the state that only count steps. They are held at their first value, so that states
            that differ in them alone are one, and no time limit of the environment's own ends an episode.
        max_states: to stop at.

    Raises:
        ConfigError: for actions that are not discrete, a start or a step that depends on chance, or too many states.
    """
    actions = getattr(env.action_space(params), "n", None)
    if actions is None:
        raise ConfigError(f"{env.id}: action space {env.action_space(params)}: must be discrete")
    shown, first = jax.tree.map(np.asarray, env.reset(jax.random.key(0), params))
    _require_equal(env, first, jax.tree.map(np.asarray, env.reset(jax.random.key(1), params)[1]), "start")
    wind_back = _wind_back(first, clocks)

    @jax.jit
    def expand(key: jax.Array, states: Any) -> Any:
        def step(state: Any, action: jax.Array) -> Any:
            observation, following, reward, terminated, truncated = env.transition(key, state, action, params)
            return wind_back(following), reward, terminated | truncated, observation

        return jax.vmap(jax.vmap(step, (None, 0)), (0, None))(states, jnp.arange(actions))

    numbers = {_identity(first): 0}
    frontier, found, following, rewards, observations = [first], [first], [], [], [shown]
    while frontier:
        block, frontier = frontier[:BLOCK], frontier[BLOCK:]
        stacked = _stack([*block, *[block[-1]] * (BLOCK - len(block))])
        result = jax.tree.map(np.asarray, expand(jax.random.key(0), stacked))
        _require_equal(env, result, jax.tree.map(np.asarray, expand(jax.random.key(1), stacked)), "step")
        next_states, paid, is_over, seen = result
        for row in range(len(block)):
            numbered = []
            for action in range(actions):
                state, observation = jax.tree.map(lambda x, row=row, action=action: x[row, action], (next_states, seen))
                identity = _identity(state)
                if is_over[row, action]:
                    numbered.append(-1)
                    continue
                if identity not in numbers:
                    numbers[identity] = len(numbers)
                    found.append(state)
                    observations.append(observation)
                    frontier.append(state)
                numbered.append(numbers[identity])
            following.append(numbered)
            rewards.append(paid[row])
        if len(numbers) > max_states:
            raise ConfigError(f"{env.id}: more than max_states = {max_states} states")
    mdp = SuccessorMDP.from_table(np.array(following), np.array(rewards, np.float64), horizon)
    return Enumeration(mdp, _stack(found), _stack(observations))


def _wind_back(first: Any, clocks: tuple[str, ...]) -> Any:
    """A function that sets a state's clocks to what they are in `first`."""

    def at_start(path: Any, leaf: Any, start: Any) -> Any:
        return jnp.asarray(start) if leaf_name(path).split(".")[-1] in clocks else leaf

    return lambda state: jax.tree_util.tree_map_with_path(at_start, state, first)


def _identity(state: Any) -> bytes:
    return b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in jax.tree.leaves(state))


def _stack(states: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


def _require_equal(env: BaseEnv, one: Any, other: Any, what: str) -> None:
    if any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)):
        raise ConfigError(f"{env.id}: its {what} depends on chance: only deterministic environments are enumerated")
