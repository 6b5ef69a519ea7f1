"""Tabular MDPs: what they refuse, how they are stepped, and that families are functions of their parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.envs import TabularEnv, TabularMDP
from jaxrl_suite.envs.tabular_families import FAMILIES, chain, combination_lock, deep_sea, frozen_lake, random_mdp
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.sampling import sample_index

ROWS = np.full((2, 3, 2), 0.5)
STAGED = np.full((4, 2, 3, 2), 0.5)
ZERO = np.zeros((2, 3))


def changed(array, index, value):
    array = np.array(array, float)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (changed(ROWS, (1, 2, 0), 0.6), ZERO, 0, 4),
            r"transitions at state 1, action 2: .* sum to 1\.1: mu",
        ),
        (
            (changed(STAGED, (3, 0, 1, 1), 0.2), ZERO, 0, 4),
            r"at stage 3, state 0, action 1: .* sum to 0\.7",
        ),
        (
            (changed(STAGED, (2, 1, 0, 1), -0.5), ZERO, 0, 4),
            r"stage 2, state 1, action 0: .*state 1 is -0\.5",
        ),
        ((changed(ROWS, (0, 1, 0), np.nan), ZERO, 0, 4), r"transitions at state 0, action 1: .* is nan"),
        ((ROWS, changed(np.zeros((4, 2, 3)), (1, 0, 2), np.inf), 0, 4), r"rewards at stage 1, state 0, action 2: inf"),
        ((ROWS, np.zeros((3, 2)), 0, 4), r"rewards: shape \(3, 2\): must be \[2, 3\]"),
        ((np.ones((2, 3)), ZERO, 0, 4), r"transitions: shape \(2, 3\): must be \[S, A, S\]"),
        ((STAGED, ZERO, 0, 5), r"transitions: 4 stages, but horizon = 5"),
        ((STAGED, ZERO, 0, None, 0.9), r"transitions: 4 stages, but horizon = None"),
        ((ROWS, ZERO, 2, 4), r"initial = 2: must be a state between 0 and 1"),
        ((ROWS, ZERO, [0.5, 0.6], 4), r"initial: probabilities sum to 1\.1"),
        ((ROWS, ZERO, [1.0], 4), r"initial: shape \(1,\): must be \[2\]"),
        ((ROWS, ZERO, 0), r"horizon = None: needs a discount < 1"),
        ((ROWS, ZERO, 0, 0), r"horizon = 0: must be a whole number >= 1"),
        ((ROWS, ZERO, 0, 4, 1.5), r"discount = 1\.5: must be one number between 0 and 1"),
        ((np.ones((0, 3, 0)), np.zeros((0, 3)), 0, 4), r"needs at least one state"),
    ],
)
def test_what_is_no_mdp_is_refused_by_name(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TabularMDP(*arguments)


def test_it_is_a_pytree_that_survives_a_round_trip():
    mdp = chain()
    leaves, structure = jax.tree.flatten(mdp)
    again = jax.tree.unflatten(structure, leaves)
    assert again.horizon == mdp.horizon
    assert all(np.array_equal(a, b) for a, b in zip(leaves, jax.tree.leaves(again), strict=True))
    assert [leaf.dtype for leaf in leaves] == [np.float64] * 4
    assert repr(mdp) == "<TabularMDP 5 states, 2 actions, horizon 20>"


@settings(max_examples=50, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.0, 1e-9, 0.3, 1.0]), min_size=1, max_size=20).filter(any),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_nothing_of_probability_zero_is_drawn(weights, uniform):
    probabilities = jnp.asarray(np.asarray(weights) / sum(weights), jnp.float32)
    index = int(sample_index(probabilities, jnp.asarray(uniform, jnp.float32)))
    assert probabilities[index] > 0


def test_draws_follow_the_distribution():
    probabilities = jnp.asarray([0.1, 0.0, 0.6, 0.3])
    uniforms = (np.arange(1000) + 0.5) / 1000
    drawn = jax.vmap(sample_index, (None, 0))(probabilities, jnp.asarray(uniforms, jnp.float32))
    assert np.bincount(drawn, minlength=4).tolist() == [100, 0, 600, 300]


@pytest.mark.parametrize("id", sorted(FAMILIES))
def test_families_are_environments(id):
    env, mdp = jrl.make(id)
    keys = jax.random.split(jax.random.key(0), 8)
    observation, state = jax.vmap(env.reset, (0, None))(keys, mdp)
    assert observation.shape == (8, mdp.num_states)
    assert (observation.sum(axis=1) == 1).all()
    actions = jax.random.randint(jax.random.key(1), (8,), 0, mdp.num_actions)
    _, _, reward, _, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(keys, state, actions, mdp)
    assert reward.dtype == np.float32
    assert not truncated.any()
    assert info["final_observation"].shape == (8, mdp.num_states)
    env.check_params(mdp)


@pytest.mark.parametrize("id", sorted(FAMILIES))
def test_long_runs_earn_what_evaluation_says(id):
    env, mdp = jrl.make(id, observation="raw")
    uniform = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)

    def episode(key):
        key_reset, key_steps = jax.random.split(key)
        _, state = env.reset(key_reset, mdp)

        def step(carry, key):
            state, is_over = carry
            key_act, key_env = jax.random.split(key)
            action = jax.random.randint(key_act, (), 0, mdp.num_actions)
            _, state, reward, terminated, _ = env.transition(key_env, state, action, mdp)
            return (state, is_over | terminated), jnp.where(is_over, 0.0, reward)

        return jax.lax.scan(step, (state, False), jax.random.split(key_steps, mdp.horizon))[1].sum()

    returns = np.asarray(jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(1), 4000)), float)
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - jrl.solvers.policy_evaluation(mdp, uniform).start_value) <= 4 * error + 1e-6


def test_an_episode_ends_at_its_horizon_as_terminated():
    env, mdp = jrl.make("tabular/chain", horizon=3)
    _, state = env.reset(jax.random.key(0), mdp)
    flags = []
    for _ in range(3):
        _, state, _, terminated, truncated = env.transition(jax.random.key(0), state, 1, mdp)
        flags.append((bool(terminated), bool(truncated)))
    assert flags == [(False, False), (False, False), (True, False)]


def test_without_a_horizon_an_episode_ends_where_nothing_can_follow():
    mdp = frozen_lake(slip=0.0).replace(horizon=None, discount=0.9)
    env = TabularEnv("tabular/endless-lake", mdp)
    _, state = env.reset(jax.random.key(0), mdp)
    ends, rewards = [], []
    for action in (1, 1, 2, 2, 1, 2):  # down, down, right, right, down, right: to the goal around the holes
        _, state, reward, terminated, _ = env.transition(jax.random.key(0), state, action, mdp)
        ends.append(bool(terminated))
        rewards.append(float(reward))
    assert ends == [False] * 5 + [True]
    assert rewards == [0.0] * 5 + [1.0]


@pytest.mark.parametrize(("mode", "shape"), [("auto", (5,)), ("one_hot", (5,)), ("raw", ()), ("float", ())])
def test_encodings_of_the_state(mode, shape):
    env, mdp = jrl.make("tabular/chain", observation=mode)
    observation, _ = env.reset(jax.random.key(0), mdp)
    assert observation.shape == shape == env.observation_space(mdp).shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jrl.make("tabular/chain", observation="words"), r"observation = 'words': must be one of auto"),
        (lambda: jrl.make("tabular/chain", lenght=3), r"tabular/chain: .*lenght"),
        (lambda: jrl.make("tabular/chian"), r"did you mean tabular/chain"),
        (lambda: frozen_lake(size=5), r"size = 5: must be one of 4, 8"),
        (lambda: combination_lock([0, 3], 3), r"code = \[0, 3\]: must be actions between 0 and 2"),
        (lambda: combination_lock([]), r"code: shape \(0,\): must be a sequence"),
        (lambda: random_mdp(0, states=0), r"states = 0: must be a whole number >= 1"),
    ],
)
def test_what_no_family_makes(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_families_take_traced_parameters():
    def start_value(slip, cost, code):
        with_slip = jrl.solvers.value_iteration(chain(slip=slip)).start_value
        with_cost = jrl.solvers.value_iteration(deep_sea(4, move_cost=cost)).start_value
        return with_slip, with_cost, jrl.solvers.value_iteration(combination_lock(code, 3)).policy[:, 0]

    with jrl.float64():
        slips, costs = jnp.asarray([0.0, 0.2]), jnp.asarray([0.0, 0.5])
        codes = jnp.asarray([[0, 1, 2], [2, 2, 0]])
        slipped, paid, opened = jax.jit(jax.vmap(start_value))(slips, costs, codes)
    for i in range(2):
        assert slipped[i] == pytest.approx(jrl.solvers.value_iteration(chain(slip=float(slips[i]))).start_value)
    assert paid == pytest.approx([1.0, 0.5])
    np.testing.assert_array_equal(opened, codes)


def test_random_instances_are_what_they_are_called():
    mdp = random_mdp(0, states=4, actions=3, horizon=200)
    assert mdp.transitions.shape == (200, 4, 3, 4)
    assert mdp.rewards.mean() == pytest.approx(0.5, abs=0.02)
    assert mdp.transitions.var() == pytest.approx(3 / 16 / 5, rel=0.05)  # of one coordinate of a flat Dirichlet


@pytest.mark.slow
def test_a_network_agent_learns_on_a_table():
    env, mdp = jrl.make("tabular/chain", horizon=10, small=0.2, large=5.0, slip=0.0)
    config = jrl.agents.PPOConfig(total_updates=40, num_envs=8, rollout_length=50, learning_rate=5e-3)
    run = jrl.train(jrl.agents.ppo(env, mdp, config), seeds=2)
    # Going on always: four steps to the end, then six times 5; going back always: ten times 0.2.
    assert (run.final_returns() > 25).all()
    assert jrl.solvers.value_iteration(mdp).start_value == pytest.approx(30)
