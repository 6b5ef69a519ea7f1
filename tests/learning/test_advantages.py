"""Generalised advantages: the specs' known answer, a slow loop, and what truncation must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite.learning.advantages import gae, lambda_targets
from tests.known_answers.ledger import known_answer

NO = np.zeros(3, bool)


@known_answer("baselines/gae")
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["plain", "jitted"])
def test_three_steps_with_an_end(transform):
    """r = (1,1,1), V = (.5,.6,.7), V_last = .8, done = (0,1,0), gamma .99, lambda .95 -> A = (1.4702, .4, 1.092)."""
    value = jnp.array([0.5, 0.6, 0.7])
    done = jnp.array([False, True, False])
    next_value = jnp.array([0.6, 123.0, 0.8])
    advantage = transform(gae)(jnp.ones(3), value, next_value, done, jnp.array(NO), 0.99, 0.95)
    np.testing.assert_allclose(advantage, [1.4702, 0.4, 1.092], atol=1e-6)


def loop(reward, value, next_value, terminated, truncated, discount, gae_lambda):
    advantage, carried = np.zeros_like(reward), 0.0
    for t in reversed(range(len(reward))):
        delta = reward[t] + discount * next_value[t] * (not terminated[t]) - value[t]
        carried = delta + discount * gae_lambda * carried * (not (terminated[t] or truncated[t]))
        advantage[t] = carried
    return advantage


floats = st.lists(st.floats(-5, 5, width=32), min_size=24, max_size=24)
flags = st.lists(st.booleans(), min_size=24, max_size=24)
unit = st.floats(0, 1, width=32)


@settings(max_examples=50, deadline=None)
@given(floats, floats, floats, flags, flags, unit, unit)
def test_agrees_with_a_slow_loop(reward, value, next_value, terminated, truncated, discount, gae_lambda):
    arrays = [np.array(x, np.float32) for x in (reward, value, next_value)]
    ends = [np.array(x) for x in (terminated, truncated)]
    expected = loop(*(a.astype(np.float64) for a in arrays), *ends, discount, gae_lambda)
    np.testing.assert_allclose(jax.jit(gae)(*arrays, *ends, discount, gae_lambda), expected, atol=2e-4, rtol=2e-4)


def test_truncation_bootstraps_from_what_the_step_led_to():
    """At a truncated step the return is r + gamma V(s'); at a terminated one it is r."""
    end = np.array([False, True, False])
    arguments = (np.ones(3, np.float32), np.zeros(3, np.float32), np.full(3, 10.0, np.float32))
    truncated = gae(*arguments, NO, end, 0.9, 1.0)
    terminated = gae(*arguments, end, NO, 0.9, 1.0)
    np.testing.assert_allclose(truncated[1], 1.0 + 0.9 * 10.0, rtol=1e-6)
    np.testing.assert_allclose(terminated[1], 1.0, rtol=1e-6)


def test_batch_axes_are_kept():
    shape = (5, 2, 3)
    zeros, no = jnp.zeros(shape), jnp.zeros(shape, bool)
    assert gae(zeros, zeros, zeros, no, no, 0.9, 0.9).shape == shape


@known_answer("baselines/q-lambda")
def test_targets_of_four_steps():
    """r = (1,0,1,0), max Q(s_t) = (1,2,3,4), max Q(s_M) = 5, gamma .99, lambda .65: without an end, with the published
    program's shifted bootstrap, and with an end at t = 1."""
    reward, best, no = jnp.array([1.0, 0.0, 1.0, 0.0]), jnp.array([2.0, 3.0, 4.0, 5.0]), jnp.zeros(4, bool)
    found = lambda_targets(reward, best, no, no, 0.99, 0.65)
    np.testing.assert_allclose(found, [4.6689608, 4.6246476, 5.571325, 4.95], atol=1e-6)
    shifted = lambda_targets(reward, best.at[-2].set(5.0), no, no, 0.99, 0.65)
    np.testing.assert_allclose(shifted, [4.8124437, 4.8476204, 5.917825, 4.95], atol=1e-6)
    ended = lambda_targets(reward, best, no.at[1].set(True), no, 0.99, 0.65)
    np.testing.assert_allclose(ended, [1.693, 0.0, 5.571325, 4.95], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(floats, floats, flags, flags, unit, unit)
def test_lambda_targets_agree_with_a_slow_loop(reward, best, terminated, truncated, discount, q_lambda):
    reward, best = np.array(reward, np.float32), np.array(best, np.float32)
    expected, following = np.zeros(24), best[-1]
    for t in reversed(range(24)):
        trace = 0.0 if terminated[t] or truncated[t] else q_lambda
        following = reward[t] + discount * (not terminated[t]) * ((1 - trace) * best[t] + trace * following)
        expected[t] = following
    ends = (np.array(terminated), np.array(truncated))
    found = jax.jit(lambda_targets)(reward, best, *ends, discount, q_lambda)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=2e-4)
