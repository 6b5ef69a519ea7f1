"""Sparse tables as environments: whatever has few states, stepped by looking up what follows.

`make("table/ID", …)` writes the environment ID out (`make("table/grid/key-corridor")`): a gridworld becomes a gather,
and learners that keep a table get the number of its state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.enumeration import enumerate_env
from jaxrl_suite.envs.registry import make as make_env
from jaxrl_suite.envs.successors import SuccessorMDP
from jaxrl_suite.envs.tabular import NumberedStates, TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.sampling import sample_index


class Original(NamedTuple):
    """What a table was made of. states: the states of `env` by their numbers in the table, leaves [S, ...]; the table's
    next number, if it has one, stands for every end of an episode."""

    env: Any
    params: Any
    states: Any


class TableEnv(NumberedStates):
    """A sparse table as an environment. Its parameters are a `SuccessorMDP`.

    Episodes terminate at the horizon, and in a state that no action leaves and that pays nothing.

    Args:
        original: what it was made of, if that is known.
    """

    def __init__(self, id: str, mdp: SuccessorMDP, observation: str = "auto", original: Original | None = None):
        super().__init__(id, mdp, observation)
        self.original = original

    def observed_as(self, observation: str) -> "TableEnv":
        return TableEnv(self.id, self.default_params, observation, self.original)

    def _advance(self, key: jax.Array, state: Any, action: Any, params: SuccessorMDP) -> tuple[Any, ...]:
        here, stage = state
        successors, probabilities = jnp.asarray(params.successors), jnp.asarray(params.probabilities)
        rewards = jnp.asarray(params.rewards)
        # With one successor nothing is random: no number is drawn for it.
        which = sample_index(probabilities[here, action], jax.random.uniform(key)) if successors.shape[-1] > 1 else 0
        following, stage = successors[here, action, which], stage + 1
        stays = jnp.all((successors[following] == following) | (probabilities[following] == 0))
        is_over = (stays & jnp.all(rewards[following] == 0)) | (stage >= params.horizon)
        return self.observe(following, params), (following, stage), rewards[here, action], is_over, False, {}


def make(id: str, horizon: int | None = None, **kwargs: Any) -> tuple[TableEnv, SuccessorMDP]:
    """The environment `table/ID`: ID written out, and its table.

    Args:
        horizon: T; None: the longest episode of ID itself.
        **kwargs: of ID.

    Raises:
        ConfigError: for an environment that cannot be written out, or one without a longest episode.
    """
    inner = id.removeprefix("table/")
    env, params = make_env(inner, **kwargs)
    longest = getattr(params, "max_steps_in_episode", None) if horizon is None else horizon
    if longest is None:
        raise ConfigError(f"{id}: horizon: must be given, episodes of {inner} have no longest length")
    if isinstance(params, TabularMDP):
        params = params.replace(horizon=int(longest))
        mdp = SuccessorMDP.from_tabular(params)
        stage, state = np.divmod(np.arange(params.num_states * (longest if params.is_staged else 1)), params.num_states)
        states: Any = state, stage
    else:
        mdp, states, _ = enumerate_env(env, params, int(np.max(longest)))
    return TableEnv(id, mdp, original=Original(env, params, states)), mdp
