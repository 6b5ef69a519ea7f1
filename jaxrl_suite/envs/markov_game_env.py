"""Markov games as environments: one action is both players' choices, a O + o; rewards are the protagonist's."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.tabular import NumberedStates
from jaxrl_suite.games.markov import GAMES, MarkovGame
from jaxrl_suite.lookup import made
from jaxrl_suite.sampling import sample_index


class MarkovGameEnv(NumberedStates):
    """A Markov game seen by one who plays both sides. Its parameters are a `MarkovGame`. Ends at its horizon."""

    def _advance(self, key: jax.Array, state: Any, action: Any, params: MarkovGame) -> tuple[Any, ...]:
        here, stage = state
        row, column = jnp.divmod(action, params.rewards.shape[-1])
        following = sample_index(jnp.asarray(params.transitions)[here, row, column], jax.random.uniform(key))
        is_over = jnp.asarray(False) if params.horizon is None else stage + 1 >= params.horizon
        reward = jnp.asarray(params.rewards)[here, row, column]
        return self.observe(following, params), (following, stage + 1), reward, is_over, False, {}


def make(id: str) -> tuple[MarkovGameEnv, MarkovGame]:
    """The game `id`, one of `jaxrl_suite.games.markov.IDS`, and its arrays.

    Raises:
        UnknownNameError: for a game that does not exist.
    """
    game = made("environment", id, GAMES)
    return MarkovGameEnv(id, game), game
