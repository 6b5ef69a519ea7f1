"""Deep IWOCS on SAC: the aggregated policy's limits by hand, and a small run from default policy to last search."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.sac import networks_of
from jaxrl_suite.errors import ConfigError
from tests.helpers import after_updates, same_states
from tests.known_answers.ledger import known_answer

SMALL = {
    "num_envs": 2, "batch_size": 8, "buffer_size": 64, "hidden_sizes": (8,), "learning_starts": 8, "block_updates": 10,
    "search": "grid", "grid_points": 2, "grid_ends": "both", "kernels": 2, "default_blocks": 2, "total_updates": 6,
    "thresholds": (0.1, 0.4), "actor_rate": 1e-2, "critic_rate": 1e-2,
}  # fmt: skip
ENV, PARAMS = jrl.make("robust/Pendulum-v1", params={"max_steps_in_episode": 20})


def make_agent(**settings):
    return jrl.agents.sac_iwocs(ENV, PARAMS, jrl.agents.SACIWOCSConfig(**(SMALL | settings)))


def networks():
    """The same of an enhanced critic as the agent's."""
    config = dataclasses.replace(make_agent().info.config, enhanced=True)
    return networks_of(ENV, PARAMS, config)


def made_up(seed=1, thresholds=(np.inf, np.inf), **changes):
    """A state of random networks, as if two kernels had been trained, without compiling an initialisation."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(make_agent().init, jax.random.key(0))

    def fill(leaf):
        return rng.normal(size=leaf.shape).astype(np.float32) if leaf.dtype == jnp.float32 else np.zeros(leaf.shape)

    state = jax.tree.map(fill, shapes.replace(learner=None))
    kernels = state.kernels._replace(threshold=np.array(thresholds, np.float32))
    return state.replace(kernels=kernels, **({"best": np.int32(2)} | changes))


OBSERVATIONS = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)


def actions_of(state):
    """Greedy actions along observations as they come, t = 0 included."""
    agent = make_agent()

    @jax.jit
    def play(state):
        def step(memory, observation):
            action, memory = agent.act(jax.random.key(0), state, memory, observation, True)
            return memory, action

        return jax.lax.scan(step, agent.start(jax.random.key(0), state), OBSERVATIONS)[1]

    return np.asarray(play(state))


def modes_of(kept):
    found = networks()
    return np.asarray(found.policy.to_env(found.actor(kept.actor, OBSERVATIONS)[0]))


def of_kernel(state, index):
    return jax.tree.map(lambda x: x[index], state.kernels.kept)


def plain_values(kept):
    """The lesser twin's at the actor's own mode, [60]."""
    return np.asarray(networks().heads(kept.critics, OBSERVATIONS, modes_of(kept)).plain.min(axis=0))


@known_answer("iwocs/nothing-valid")
def test_no_threshold_is_the_default_policy_after_the_first_step():
    state = made_up(thresholds=(0.0, 0.0))
    played, default = actions_of(state), modes_of(state.default)
    np.testing.assert_allclose(played[1:], default[1:], rtol=1e-4, atol=1e-5)
    first = [plain_values(of_kernel(state, i))[0] for i in (0, 1)]
    np.testing.assert_allclose(played[0], modes_of(of_kernel(state, np.argmin(first)))[0], rtol=1e-4)


@known_answer("iwocs/one-kernel")
def test_one_kernel_that_always_counts_is_that_kernels_policy():
    state = made_up(thresholds=(np.inf, 0.0), best=np.int32(1))
    np.testing.assert_allclose(actions_of(state), modes_of(of_kernel(state, 0)), rtol=1e-4, atol=1e-5)


@known_answer("iwocs/least-kernel")
def test_kernels_that_always_count_are_chosen_by_their_least_plain_value():
    """Not by the soft value, and each at its own actor's mode."""
    state = made_up()
    values = np.stack([plain_values(of_kernel(state, i)) for i in (0, 1)])
    least = values.argmin(axis=0)
    assert 5 < least.sum() < 55
    modes = [modes_of(of_kernel(state, i)) for i in (0, 1)]
    expected = np.where(least[:, None] == 0, *modes)
    np.testing.assert_allclose(actions_of(state), expected, rtol=1e-4, atol=1e-5)
    heads = [networks().heads(of_kernel(state, i).critics, OBSERVATIONS, modes[i]) for i in (0, 1)]
    soft = np.stack([np.asarray(x.soft.min(axis=0)) for x in heads])
    assert not np.array_equal(soft.argmin(axis=0), least)


@pytest.fixture(scope="module")
def history():
    """(agent, states, metrics) of all six updates."""
    return after_updates(make_agent(), 6)


def test_kernels_are_kept_as_they_were_trained(history):
    """And each is trained from scratch, on the worst kernel of the policy before it."""
    _, states, metrics = history
    assert [bool(np.isfinite(m["worst/return"])) for m in metrics] == [False, True] * 3
    for slot, end in enumerate((4, 6)):
        kernel = jax.tree.map(lambda x, slot=slot: x[slot], states[6].kernels)
        learned = states[end].learner.learned
        assert same_states(tuple(kernel.kept), (learned.actor, learned.critics))
        np.testing.assert_array_equal(kernel.psi, states[end - 2].psi)
        assert np.all(states[end - 1].learner.env.env.kernel == kernel.psi), "all copies play it"
    learned = states[2].learner.learned
    assert same_states(tuple(states[6].default), (learned.actor, learned.critics))
    assert len(np.unique(states[1].learner.env.env.kernel)) > 2, "the default policy's kernels are drawn"
    assert int(states[3].learner.buffer.current_index) == 20, "a fresh buffer: two steps in each of ten updates"
    counts = [int(states[i].learner.learned.critic_opts[2].count) for i in (1, 2, 3, 4)]
    # 8 steps have been taken at the end of a phase's fourth update.
    assert counts == [7, 17, 7, 17], "fresh optimisers: one step a minibatch, from the fourth update of a phase on"


def test_the_predictor_is_a_head_of_the_critics(history):
    _, _, metrics = history
    assert all(np.isfinite(m["loss/predictor"]) for m in metrics)
    assert metrics[5]["loss/predictor"] < metrics[4]["loss/predictor"]
    assert all(0.0 <= metrics[i]["iwocs/valid"] <= 1.0 for i in (3, 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_updates": 7}, r"SACIWOCSConfig.total_updates = 7: must be default_blocks = 2 and a multiple"),
        ({"thresholds": (0.4, 0.1)}, r"SACIWOCSConfig.thresholds = \(0.4, 0.1\)"),
        ({"buffer_size": 7}, r"buffer_size = 7: must hold batch_size = 8"),
        ({"lowest_log_std": 3.0}, r"lowest_log_std = 3.0: must be below"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent(**settings)


def test_other_environments_are_refused():
    with pytest.raises(ConfigError, match=r"sac_iwocs: Pendulum-v1: must be a family robust/"):
        jrl.agents.sac_iwocs(*jrl.make("Pendulum-v1"))
    with pytest.raises(ConfigError, match=r"sac_iwocs on robust/CartPole-v1: action space Discrete: must be a Box"):
        jrl.agents.sac_iwocs(*jrl.make("robust/CartPole-v1"))
