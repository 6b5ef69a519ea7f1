"""The NumPy programs that NORA is timed beside are NORA: the same critics, exact values, counts and switches."""

import functools

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.nora import fit_critic
from tests.helpers import load_benchmark

peer = load_benchmark("nora_numpy")
SEEDS = 6


def lock(length=10):
    return jrl.make("tabular/lock", length=length, actions=3)[1]


def programs(mdp):
    arrays = (np.asarray(x) for x in (mdp.transitions, mdp.rewards, mdp.initial))
    code = np.asarray(mdp.transitions)[:, 0, :, 0].argmax(axis=-1)
    return peer.Table(*arrays, SEEDS), peer.Lock(code, 3, SEEDS)


def played(task, mdp, episodes):
    """(visits [N, H, S, A], next states [N, H, S, A, S]) of uniform play, told by the episodes alone."""
    rng, shape = np.random.default_rng(0), (SEEDS, *mdp.rewards.shape)
    visits = np.zeros(shape)
    for _ in range(episodes):
        states, actions = task.play(np.full(shape, 1 / 3), rng)
        np.add.at(visits, (np.arange(SEEDS)[:, None], np.arange(shape[1]), states, actions), 1)
    return visits, visits[..., None] * mdp.transitions


def critic(counts, mdp):
    with jrl.float64():
        return np.asarray(jax.jit(fit_critic)(counts, mdp.rewards, 0.7, jrl.agents.NORAConfig()))


def test_critic_and_value_of_the_lock():
    mdp = lock()
    task = programs(mdp)[1]
    visits, counts = played(task, mdp, 40)
    chosen = np.array([4, 1])
    for found, seed in zip(task.fit(chosen, visits[chosen], 0.7), chosen, strict=True):
        np.testing.assert_allclose(found, critic(counts[seed], mdp), atol=1e-12)
    policy = peer.softmax(5 * task.fit(slice(None), visits, 0.7))
    values = [jrl.solvers.policy_evaluation(mdp, p).start_value for p in policy]
    np.testing.assert_allclose(task.value(policy), values, rtol=1e-10)


def test_critic_and_value_of_any_table():
    _, mdp = jrl.make("tabular/random", states=4, actions=3, horizon=3)
    task = peer.Table(*(np.asarray(x) for x in (mdp.transitions, mdp.rewards, mdp.initial)), SEEDS)
    visits, _ = played(task, mdp, 200)
    np.testing.assert_array_equal(task.counts.sum(axis=-1), visits)
    assert (visits.sum(axis=(2, 3)) == 200).all()
    found = task.fit(slice(None), visits, 0.7)[2]
    np.testing.assert_allclose(found, critic(task.counts[2], mdp), atol=1e-12)
    uniform = jrl.solvers.policy_evaluation(mdp, np.full(mdp.rewards.shape, 1 / 3)).start_value
    np.testing.assert_allclose(task.value(np.full(visits.shape, 1 / 3)), uniform)


@functools.cache
def short_run():
    env, mdp = jrl.make("tabular/lock", length=4, actions=3)
    agent = jrl.agents.nora(env, mdp, jrl.agents.NORAConfig(total_updates=300))
    return jrl.train(agent, seeds=SEEDS, quick_compile=True)


@pytest.mark.parametrize("which", [pytest.param(0, marks=pytest.mark.slow), 1], ids=["table", "lock"])
def test_a_short_lock_is_learnt_with_as_much_regret(which):
    mdp, run = lock(length=4), short_run()
    ours, count = run.metrics["regret"].sum(axis=-1), run.metrics["switch/count"].sum(axis=-1)
    regret, switches = peer.train(programs(mdp)[which], 1.0, SEEDS, 300, 10.0, 1.0, np.random.default_rng(1))
    assert abs(regret.mean() - ours.mean()) < 5 * np.sqrt((regret.var(ddof=1) + ours.var(ddof=1)) / SEEDS)
    assert switches.mean() == pytest.approx(count.mean(), rel=0.15)
