"""Transitions of players who take turns, by a slow loop."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxrl_suite.learning.turn_taking import Decisions, none_pending, own_transitions

STEPS, GAMES = 12, 2
ours = jax.jit(own_transitions, static_argnums=2)


def by_loop(player, reward, done, signs):
    """{decision: (own reward, whether the game ended, the next decision)} of the decisions of one game's stream that
    are complete, by looking ahead from each."""
    found = {}
    for t in range(len(player)):
        me, paid, now = player[t], 0.0, t
        while now < len(player):
            paid += signs[me] * reward[now]
            if done[now]:
                found[t] = (paid, True, None)
                break
            now += 1
            if now < len(player) and player[now] == me:
                found[t] = (paid, False, now)
                break
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 6, STEPS]), st.sampled_from([(1.0, -1.0), (1.0, 1.0, 1.0)]))
def test_each_goes_from_an_own_decision_to_the_next_one(seed, cut, signs):
    """The same in one rollout and in many, whatever is pending between them."""
    rng = np.random.default_rng(seed)
    shape = (STEPS, GAMES)
    reward = rng.normal(size=shape).astype(np.float32)
    player, done = rng.integers(len(signs), size=shape), rng.random(shape) < 0.2
    time = np.arange(STEPS)
    # Decisions are known by what is seen, [time, game], and by the action.
    observation = np.stack(np.meshgrid(time, np.arange(GAMES), indexing="ij"), axis=-1)
    decisions = Decisions(observation, 100 + observation[..., 0], player, reward, done)
    pending = none_pending(jnp.asarray(observation[0]), jnp.asarray(decisions.action[0]), len(signs))
    found = [{} for _ in range(GAMES)]
    for part in (slice(first, first + cut) for first in range(0, STEPS, cut)):
        rollout = jax.tree.map(lambda x, part=part: jnp.asarray(x[part]), decisions)
        pending, made, is_complete = ours(pending, rollout, signs)
        assert is_complete.shape == (len(rollout.action), GAMES, 1 + len(signs))
        is_complete = np.asarray(is_complete)
        chosen = jax.tree.map(lambda x, keep=is_complete: np.asarray(x)[keep], made)
        for seen, action, paid, is_end, following in zip(*chosen, strict=True):
            time, game = seen
            assert action == 100 + time
            assert time not in found[game], "no decision twice"
            found[game][time] = (paid, bool(is_end), None if is_end else int(following[0]))
    for game in range(GAMES):
        expected = by_loop(player[:, game], reward[:, game], done[:, game], signs)
        assert set(found[game]) == set(expected)
        for t, (paid, is_end, following) in expected.items():
            assert found[game][t][0] == pytest.approx(paid, abs=1e-5)
            assert found[game][t][1:] == (is_end, following)
