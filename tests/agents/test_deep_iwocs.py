"""Deep IWOCS: the aggregated policy's limits by hand, and a small run from the default policy to the last search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.agents.deep_iwocs import one_step_predictor
from jaxrl_suite.agents.dqn import q_network
from jaxrl_suite.errors import ConfigError
from tests.helpers import after_updates, same_states
from tests.known_answers.ledger import known_answer

SMALL = {
    "num_envs": 2, "train_frequency": 2, "batch_size": 8, "buffer_size": 64, "hidden_sizes": (8,), "block_updates": 10,
    "predictor_sizes": (8,), "predictor_steps": 10, "search": "grid", "grid_points": 2, "grid_ends": "both",
    "kernels": 2, "default_blocks": 2, "total_updates": 6, "thresholds": (0.1, 0.4), "learning_rate": 1e-2,
}  # fmt: skip
ENV, PARAMS = jrl.make("robust/CartPole-v1", params={"max_steps_in_episode": 30})


def make_agent(**settings):
    return jrl.agents.deep_iwocs(ENV, PARAMS, jrl.agents.DeepIWOCSConfig(**(SMALL | settings)))


def made_up(seed=2, **changes):
    """A state of random networks, as if two kernels had been trained, without compiling an initialisation."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(make_agent().init, jax.random.key(0))

    def fill(leaf):
        return rng.normal(size=leaf.shape).astype(np.float32) if leaf.dtype == jnp.float32 else np.zeros(leaf.shape)

    state = jax.tree.map(fill, shapes.replace(learner=None))
    thresholds = changes.pop("thresholds", (np.inf, np.inf))
    kernels = state.kernels._replace(threshold=np.array(thresholds, np.float32))
    kernels = kernels._replace(**changes.pop("kernels", {}))
    return state.replace(kernels=kernels, **({"best": np.int32(2)} | changes))


OBSERVATIONS = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)


def actions_of(state, agent=None):
    """Greedy actions along observations as they come, t = 0 included."""
    agent = agent or make_agent()

    @jax.jit
    def play(state):
        def step(memory, observation):
            action, memory = agent.act(jax.random.key(0), state, memory, observation, True)
            return memory, action

        return jax.lax.scan(step, agent.start(jax.random.key(0), state), OBSERVATIONS)[1]

    return np.asarray(play(state))


def values_of(params):
    return np.asarray(q_network(ENV, PARAMS, make_agent().info.config)[1](params, OBSERVATIONS))


def kernel_values(state):
    """[M, 60, A]."""
    return np.stack([values_of(jax.tree.map(lambda x, i=i: x[i], state.kernels.kept.values)) for i in (0, 1)])


@known_answer("iwocs/nothing-valid")
def test_no_threshold_is_the_default_policy_after_the_first_step():
    state = made_up(thresholds=(0.0, 0.0))
    played, default = actions_of(state), values_of(state.default.values).argmax(axis=-1)
    np.testing.assert_array_equal(played[1:], default[1:])
    values = kernel_values(state)
    assert played[0] == values[values.max(axis=-1)[:, 0].argmin(), 0].argmax(), "at the start every kernel counts"
    assert not np.array_equal(values[0].argmax(axis=-1), default)


@known_answer("iwocs/one-kernel")
def test_one_kernel_that_always_counts_is_that_kernels_policy():
    state = made_up(thresholds=(np.inf, 0.0), best=np.int32(1))
    np.testing.assert_array_equal(actions_of(state), kernel_values(state)[0].argmax(axis=-1))


@known_answer("iwocs/least-kernel")
def test_kernels_that_always_count_are_chosen_by_their_least_value():
    state = made_up()
    values = kernel_values(state)
    least = values.max(axis=-1).argmin(axis=0)
    assert 5 < least.sum() < 55
    expected = np.where(least == 0, *values.argmax(axis=-1))
    np.testing.assert_array_equal(actions_of(state), expected)
    by_action = actions_of(state, make_agent(selection="action"))
    np.testing.assert_array_equal(by_action, values.min(axis=0).argmax(axis=-1))
    assert not np.array_equal(by_action, expected)


def test_a_slot_that_is_not_filled_never_plays():
    """Its values are far below all others, and it would always count."""
    state = made_up(best=np.int32(1))
    values = jax.tree.map(lambda x: np.stack([x[0], -100.0 * np.abs(x[1])]), state.kernels.kept.values)
    state = state.replace(kernels=state.kernels._replace(kept=state.kernels.kept._replace(values=values)))
    np.testing.assert_array_equal(actions_of(state), kernel_values(state)[0].argmax(axis=-1))
    none = state.replace(best=np.int32(0))
    np.testing.assert_array_equal(actions_of(none), values_of(state.default.values).argmax(axis=-1))


@pytest.mark.parametrize(("factor", "is_valid"), [(1.01, True), (0.99, False)])
def test_the_surprise_is_a_sum_over_the_observations_entries(factor, is_valid):
    """A predictor of zeros expects no change, so the surprise is the step's length in L1."""
    change = np.abs(OBSERVATIONS[1] - OBSERVATIONS[0]).sum()
    state = made_up(thresholds=(factor * change, 0.0), best=np.int32(1))
    nothing = jax.tree.map(np.zeros_like, state.kernels.kept.predictor)
    state = state.replace(kernels=state.kernels._replace(kept=state.kernels.kept._replace(predictor=nothing)))
    agent = make_agent()
    for seed in range(20):
        default = made_up(seed).default
        _, memory = agent.act(jax.random.key(0), state, agent.start(None, state), OBSERVATIONS[0], True)
        action, _ = agent.act(jax.random.key(0), state.replace(default=default), memory, OBSERVATIONS[1], True)
        expected = kernel_values(state)[0] if is_valid else values_of(default.values)
        assert action == expected[1].argmax()


@pytest.fixture(scope="module")
def history():
    """(agent, states, metrics) of all six updates."""
    return after_updates(make_agent(), 6)


def test_searches_end_phases(history):
    _, states, metrics = history
    searched = [bool(np.isfinite(m["worst/return"])) for m in metrics]
    assert searched == [False, True, False, True, False, True]
    assert [int(s.count) for s in states] == [0, 0, 0, 0, 1, 1, 2]
    low, high = ENV.bounds(PARAMS)
    for i in (2, 4, 6):
        assert np.all((states[i].psi == low) | (states[i].psi == high)), "a corner: the grid has no other points"
        np.testing.assert_array_equal(states[i].psi, [metrics[i - 1]["worst/masspole"], metrics[i - 1]["worst/length"]])


def test_kernels_are_kept_as_they_were_trained(history):
    """And each is trained from scratch, on the worst kernel of the policy before it."""
    _, states, _ = history
    for slot, end in enumerate((4, 6)):
        kernel = jax.tree.map(lambda x, slot=slot: x[slot], states[6].kernels)
        assert same_states(kernel.kept.values, states[end].learner.dqn.params)
        assert same_states(kernel.kept.predictor, states[end].learner.predictor)
        np.testing.assert_array_equal(kernel.psi, states[end - 2].psi)
        assert np.all(states[end - 1].learner.dqn.env.env.kernel == kernel.psi), "all copies play it"
    assert same_states(states[6].default.values, states[2].learner.dqn.params)
    assert len(np.unique(states[1].learner.dqn.env.env.kernel)) > 2, "the default policy's kernels are drawn"
    assert int(states[3].learner.dqn.buffer.current_index) == 40, "a fresh buffer: 40 steps of 4 a block of ten updates"


def test_the_best_candidate_is_kept_and_ties_take_the_largest_threshold(history):
    _, states, metrics = history
    worst = [float(metrics[i]["worst/return"]) for i in (1, 3, 5)]
    assert float(states[6].best_value) == max(worst)
    assert int(states[6].best) == int(np.argmax(worst))
    assert float(metrics[1]["worst/threshold"]) == np.float32(0.4), "the default policy has no threshold: all equal"
    for i in (3, 5):
        assert metrics[i]["worst/least"] <= metrics[i]["worst/return"]


def test_a_kernel_that_was_there_before_ends_the_sequence(history):
    """Up to the first time: the runner then stops the member, which stays as it is."""
    _, states, metrics = history
    for step, (state, measured) in enumerate(zip(states[1:], metrics, strict=True)):
        known = np.asarray(state.kernels.psi)[: int(state.count)]
        is_known = step % 2 == 1 and any(np.array_equal(psi, state.psi) for psi in known)
        assert bool(measured["finished"]) == is_known
        if is_known:
            break
    assert is_known, "three searches over four corners: this seed finds one twice"


def test_the_predictor_learns_what_its_kernel_does(history):
    _, _, metrics = history
    losses = [float(m["loss/predictor"]) for m in metrics]
    assert np.isnan(losses[:2]).all()
    assert losses[3] < losses[2]
    assert losses[5] < losses[4]


def test_what_a_threshold_takes_for_its_own_kernel_is_measured(history):
    """In every search but the default policy's."""
    _, _, metrics = history
    valid = [float(m["iwocs/valid"]) for m in metrics]
    assert np.isnan([valid[i] for i in (0, 1, 2, 4)]).all()
    assert all(0.0 <= valid[i] <= 1.0 for i in (3, 5))


@known_answer("iwocs/predictor")
@pytest.mark.slow
def test_a_predictor_errs_little_on_its_kernel_and_much_on_a_distant_one():
    """On fresh steps: of the kernel that it was trained on, and of the one opposite in the box."""
    config = {"predictor_steps": 500, "block_updates": 100, "buffer_size": 2000, "kernels": 1, "total_updates": 4}
    agent = make_agent(**config, num_envs=8, batch_size=64, hidden_sizes=(32,), predictor_sizes=(64,))
    run = jrl.train(agent, seeds=1)
    kernels = jax.tree.map(lambda x: x[0, 0], run.state.kernels)
    low, high = ENV.bounds(PARAMS)
    error = {
        name: steps_error(agent, kernels.kept.predictor, psi)
        for name, psi in (("own", kernels.psi), ("other", low + high - kernels.psi))
    }
    assert error["own"] < 0.1
    assert error["other"] > 5 * error["own"]
    valid = run.metrics["iwocs/valid"][0]
    assert valid[-1] > 0.9


def steps_error(agent, predictor, psi):
    """Mean surprise over twenty episodes of random actions on one kernel."""
    _, surprise = one_step_predictor(ENV, PARAMS, agent.info.config)
    params = ENV.at(PARAMS, psi)
    rng, errors = np.random.default_rng(0), []
    transition, measure = jax.jit(ENV.transition), jax.jit(surprise)
    for episode in range(20):
        observation, state = ENV.reset(jax.random.key(episode), params)
        is_over = False
        while not is_over:
            action = jnp.int32(rng.integers(2))
            following, state, _, terminated, truncated = transition(jax.random.key(0), state, action, params)
            errors.append(float(measure(predictor, observation, action, following)))
            observation, is_over = following, bool(terminated | truncated)
    return np.mean(errors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_updates": 7}, r"total_updates = 7: must be default_blocks = 2 and a multiple of kernels = 2"),
        ({"total_updates": 2}, r"total_updates = 2: must be default_blocks"),
        ({"thresholds": (0.4, 0.1)}, r"thresholds = \(0.4, 0.1\): must be one or more, > 0 and rising"),
        (
            {"total_updates": 8, "anneal_learning_rate": True},
            r"anneal_learning_rate = True: default_blocks = 2: must be as many as a kernel's, 3",
        ),
        ({"thresholds": ()}, r"thresholds = \(\): must be one or more"),
        ({"search": "random"}, r"search = 'random': must be one of cma, grid"),
        ({"population": 3}, r"population = 3: must be >= 4"),
        ({"buffer_size": 7}, r"buffer_size = 7: must hold batch_size = 8"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent(**settings)


def test_other_environments_are_refused():
    with pytest.raises(ConfigError, match=r"deep_iwocs: CartPole-v1: must be a family robust/"):
        jrl.agents.deep_iwocs(*jrl.make("CartPole-v1"))
    with pytest.raises(ConfigError, match=r"has a Box of actions, must have a Discrete"):
        jrl.agents.deep_iwocs(*jrl.make("robust/Pendulum-v1"))
    bad = PARAMS.replace(low={"masspole": 2.0, "length": 0.25})
    with pytest.raises(ConfigError, match=r"ranges\['masspole'\] = \(2.0, 1.0\): must have low < high"):
        jrl.agents.adversarial_dqn(ENV, bad)


@pytest.mark.slow
def test_an_adversary_moves_after_each_block():
    """And the returns of its kernel are the least of the corners'."""
    shared = ("num_envs", "train_frequency", "batch_size", "buffer_size", "hidden_sizes", "block_updates", "search")
    settings = {name: SMALL[name] for name in (*shared, "grid_points", "grid_ends", "learning_rate")}
    agent = jrl.agents.adversarial_dqn(ENV, PARAMS, jrl.agents.AdversarialDQNConfig(total_updates=3, **settings))
    quick = {"xla_backend_optimization_level": 0}
    state = jax.jit(agent.init, compiler_options=quick)(jax.random.key(0))
    np.testing.assert_allclose(state.kernel, [0.1, 0.5])
    state, metrics = jax.jit(agent.update, compiler_options=quick)(jax.random.key(1), state, jnp.int32(0))
    np.testing.assert_array_equal(state.kernel, [metrics["worst/masspole"], metrics["worst/length"]])
    corners = np.asarray(ENV.grid(PARAMS, 2))
    assert (corners == state.kernel).all(axis=1).any()
    returns = jrl.agents.kernel_returns(agent, jax.tree.map(lambda x: x[None], state), [3], corners, episodes=20)
    assert returns.shape == (1, 4, 20)
    of_worst = returns[0, (corners == state.kernel).all(axis=1)].mean()
    assert of_worst <= returns[0].mean(axis=-1).min() + 3.0
