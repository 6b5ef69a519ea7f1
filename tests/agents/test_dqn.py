"""DQN against its definition: targets by hand, when it learns and copies, what it replays, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.config import sweepable_fields
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.replay import Experience, td_target
from tests.helpers import same, same_states

SMALL = {"num_envs": 2, "train_frequency": 2, "batch_size": 8, "buffer_size": 24, "hidden_sizes": (8,)}
STEPS = 4
"""Environment steps an update of SMALL."""


def make_agent(env_id="CartPole-v1", env_settings=None, **settings):
    env, params = jrl.make(env_id)
    params = dataclasses.replace(params, **(env_settings or {}))
    return jrl.agents.dqn(env, params, jrl.agents.DQNConfig(**(SMALL | {"total_updates": 20} | settings)))


def quick(function):
    """Compiled with little optimisation: compiling takes longer than these runs."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def history():
    """(agent, states, metrics): the states before each of 13 updates and after the last; metrics of each update."""
    agent = make_agent(
        learning_starts=16, target_period=10, exploration_fraction=0.5, max_grad_norm=1e-3, learning_rate=1e-2
    )
    update, states, metrics = quick(agent.update), [quick(agent.init)(jax.random.key(0))], []
    for step in range(13):
        state, measured = update(jax.random.key(step), states[-1], jnp.int32(step))
        states.append(state)
        metrics.append(measured)
    return agent, states, metrics


def test_nothing_is_learnt_before_learning_starts(history):
    """At 4 steps an update, 16 have been taken at the end of the fourth."""
    _, states, metrics = history
    for step in range(13):
        has_moved = not same_states(states[step].params, states[step + 1].params)
        assert has_moved == (step >= 3), step
        assert bool(np.isfinite(metrics[step]["loss/td"])) == (step >= 3), step
    assert same_states(states[0].opt_state, states[3].opt_state)


def test_the_target_is_copied_by_the_updates_that_reach_a_multiple_of_the_period(history):
    """Period 10, 4 steps an update: 10 is reached by the third, 20 by the fifth, 30 by the eighth, 40 by the tenth."""
    _, states, _ = history
    copying = {2, 4, 7, 9, 12}
    for step in range(13):
        expected = states[step + 1].params if step in copying else states[step].target_params
        assert same_states(states[step + 1].target_params, expected), step
        if step >= 3:
            is_equal = same_states(states[step + 1].target_params, states[step + 1].params)
            assert is_equal == (step in copying), step


def test_epsilon_is_one_until_learning_starts_then_on_its_line(history):
    """From 1 to 0.01 over half of 20 updates."""
    _, _, metrics = history
    expected = [1.0] * 4 + [1.0 - 0.99 * step / 10 for step in range(4, 10)] + [0.01] * 3
    np.testing.assert_allclose([m["exploration/epsilon"] for m in metrics], expected, rtol=1e-5)


def test_the_gradients_norm_is_limited(history):
    """Adam's first moment after the first step is a tenth of the gradient, whose norm is the limit."""
    _, states, _ = history
    np.testing.assert_allclose(np.linalg.norm(states[4].opt_state[1].mu), 0.1 * 1e-3, rtol=1e-3)


def test_the_buffer_is_a_ring_of_the_last_transitions(history):
    """24 places, 52 transitions: the last 24, in pairs of environments. Each one's end is the next one's beginning."""
    _, states, _ = history
    for count in (3, 13):
        buffer = states[count].buffer
        oldest = STEPS * count % 24
        kept = jax.tree.map(lambda x, oldest=oldest: np.roll(x[0], -oldest, axis=0), buffer.experience)
        if count == 3:
            assert not kept.observation[:12].any()
            kept = jax.tree.map(lambda x: x[12:], kept)
        assert bool(buffer.is_full) == (count == 13)
        assert int(buffer.current_index) == oldest
        follows = np.all(kept.next_observation[:-2] == kept.observation[2:], axis=1)
        assert np.array_equal(follows, ~kept.terminated[:-2])
        last = np.where(kept.terminated[-2:, None], states[count].observation, kept.next_observation[-2:])
        np.testing.assert_array_equal(last, states[count].observation)
        assert np.all(kept.reward == 1.0)
    assert follows.sum() > 15, "most of the last steps do not end an episode"


def test_targets_by_hand():
    """r + 0.9 max Q after a step that goes on, r after one that ends; double: judged where the other is highest."""
    batch = Experience(
        observation=jnp.zeros((3, 1)),
        action=jnp.zeros(3, jnp.int32),
        reward=jnp.array([1.0, -2.0, 0.5]),
        terminated=jnp.array([False, True, False]),
        next_observation=jnp.zeros((3, 1)),
    )
    judging = jnp.array([[5.0, 3.0], [7.0, 8.0], [-4.0, -1.0]])
    choosing = jnp.array([[1.0, 2.0], [0.0, 9.0], [0.0, 0.5]])
    np.testing.assert_allclose(td_target(batch, judging, judging, 0.9), [1 + 0.9 * 5, -2.0, 0.5 - 0.9], rtol=1e-6)
    np.testing.assert_allclose(td_target(batch, choosing, judging, 0.9), [1 + 0.9 * 3, -2.0, 0.5 - 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("env_id", "settings", "target"),
    [
        ("probe/never-ending", {}, 1 + 0.9 * 5),
        ("probe/never-ending", {"double": True, "gradient_steps": 2, "learning_rate": 1e-12}, 1 + 0.9 * 3),
        ("probe/never-ending", {"truncation_is_termination": True}, 1.0),
        ("probe/constant", {}, 1.0),
    ],
    ids=["cut off", "double", "cut off, as an end", "end"],
)
def test_the_loss_is_hubers_of_the_difference_to_the_target(env_id, settings, target):
    """Networks whose values are known: online (2, 2 + a bit), target (5, 3), whatever is seen. Every step is the last
    of its episode: a termination in one environment, the time limit in the other."""
    agent = make_agent(env_id, {"max_steps_in_episode": 1}, discount=0.9, batch_size=4, **settings)
    state = agent.init(jax.random.key(0))

    def constant(params, values):
        params = jax.tree.map(jnp.zeros_like, params)
        params["params"]["Dense_0"]["bias"] = jnp.array(values)
        return params

    state = state.replace(
        params=constant(state.params, [2.0, 2.0 + 1e-6]), target_params=constant(state.params, [5.0, 3.0])
    )
    _, metrics = quick(agent.update)(jax.random.key(1), state, jnp.int32(0))
    np.testing.assert_allclose(metrics["loss/td"], huber(2.0 - target), rtol=1e-5)
    np.testing.assert_allclose(metrics["value/mean"], 2.0, rtol=1e-5)
    assert metrics["episode/count"] == STEPS


def huber(difference):
    return abs(difference) - 0.5 if abs(difference) > 1 else 0.5 * difference**2


def test_play_is_greedy_or_explores_by_the_final_epsilon(history):
    _, states, _ = history
    agent, state = make_agent(final_epsilon=0.5), states[-1]
    observation = jnp.array([0.01, 0.2, -0.02, 0.3])
    greedy, memory = agent.act(jax.random.key(0), state, agent.start(jax.random.key(0), state), observation, True)
    assert memory == ()
    keys = jax.random.split(jax.random.key(1), 2000)
    played = jax.vmap(lambda key: agent.act(key, state, (), observation, False)[0])(keys)
    # Half the actions are random, half of these the greedy one by chance; 5 standard deviations.
    np.testing.assert_allclose(np.mean(played == greedy), 0.75, atol=0.05)
    assert set(np.unique(played)) == {0, 1}


def test_a_member_in_a_batch_is_the_member_alone(history):
    """Equal to rounding after one update that learns and copies, whoever runs beside it."""
    agent, states, metrics = history
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states[5:9])
    keys = jax.vmap(jax.random.key)(jnp.array([21, 22, 7, 23]))
    after, measured = quick(jax.vmap(agent.update, (0, 0, None)))(keys, batch, jnp.int32(7))
    np.testing.assert_allclose(measured["loss/td"][2], metrics[7]["loss/td"], rtol=1e-5)
    for many, alone in zip(jax.tree.leaves(after), jax.tree.leaves(states[8]), strict=True):
        np.testing.assert_allclose(many[2], alone, atol=1e-5)


@pytest.mark.slow
def test_a_run_that_is_cut_off_ends_as_if_it_had_not_been(tmp_path):
    """Bit for bit, the buffer too. And the program needs no second buffer: it is changed in place."""
    agent = make_agent(num_envs=8, batch_size=16, buffer_size=50_000, total_updates=6)
    whole = jrl.train(agent, seeds=1)
    jrl.train(agent, seeds=1, updates=2, out=tmp_path / "run")
    resumed = jrl.resume(tmp_path / "run", agent, updates=6)
    assert same_states(whole.state, resumed.state)
    assert all(same(resumed.metrics[name], whole.metrics[name]) for name in whole.metrics)
    buffer = sum(x.nbytes for x in jax.tree.leaves(whole.state.buffer))
    assert buffer > 2e6
    assert whole.bytes_needed < 1.5 * buffer


def test_every_float_setting_can_be_swept():
    """All in one program; a value that differs leads to other parameters."""
    env, params = jrl.make("CartPole-v1")
    settings = {"gradient_steps": 2, "learning_rate": 1e-2, "max_grad_norm": 0.5, "exploration_fraction": 0.5}
    config = jrl.agents.DQNConfig(**(SMALL | settings | {"total_updates": 16, "num_envs": 8, "buffer_size": 64}))
    names = sweepable_fields(config)
    factors = {"max_grad_norm": 0.01, "final_epsilon": 50.0}
    base = {name: jnp.full(len(names) + 1, getattr(config, name)) for name in names}
    changed = {name: x.at[i].multiply(factors.get(name, 0.5)) for i, (name, x) in enumerate(base.items())}

    def train(numbers):
        agent = jrl.agents.dqn(env, params, config.replace(**numbers))

        def update(state, step):
            return agent.update(jax.random.key(step), state, step)[0], None

        return jax.lax.scan(update, agent.init(jax.random.key(0)), jnp.arange(16))[0].params

    kernels = quick(jax.vmap(train))(changed)["params"]["torso"]["Dense_0"]["kernel"]
    for i, name in enumerate(names):
        assert not np.array_equal(kernels[i], kernels[-1]), f"{name} changes nothing"
    assert np.isfinite(kernels).all()


def test_a_users_module_takes_the_torsos_place():
    import flax.linen as nn

    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, observation):
            return nn.relu(nn.Dense(7)(observation))

    shapes = jax.eval_shape(make_agent(module=Tiny()).init, jax.random.key(0))
    assert {x.shape for x in jax.tree.leaves(shapes.params)} == {(4, 7), (7,), (7, 2), (2,)}


def test_whole_number_observations_are_kept_as_they_are():
    env, params = jrl.make("Freeway-MinAtar")
    agent = jrl.agents.dqn(env, params, jrl.agents.DQNConfig(**SMALL))
    state = jax.eval_shape(agent.init, jax.random.key(0))
    assert state.buffer.experience.observation.dtype == state.observation.dtype
    assert state.buffer.experience.observation.shape == (1, 24, *state.observation.shape[1:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"buffer_size": 7}, r"buffer_size = 7: must hold batch_size = 8"),
        ({"num_envs": 16}, r"buffer_size = 24: must hold .* num_envs \* train_frequency = 32"),
        ({"total_updates": 2**29}, r"total_updates = 536870912: .* 4 environment steps an update, must stay below"),
        ({"learning_rate": 0.0}, r"learning_rate = 0\.0: must be > 0"),
        ({"exploration_fraction": 0.0}, r"exploration_fraction = 0\.0: must be > 0 and <= 1"),
        ({"final_epsilon": 1.5}, r"final_epsilon = 1\.5: must be >= 0 and <= 1"),
        ({"target_period": 0}, r"target_period = 0: must be >= 1"),
        ({"double": 1}, r"double = 1: must be true or false"),
        ({"hidden_sizes": (0,)}, r"DQNConfig\.hidden_sizes = \(0,\): must be one or more positive"),
        ({"reset_pool": 3}, r"reset_pool = 3"),
    ],
)
def test_bad_settings_are_refused_before_compiling(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent(**settings)


def test_continuous_actions_and_modules_with_memory_are_refused():
    from jaxrl_suite.learning.networks import GRU

    with pytest.raises(ConfigError, match=r"dqn: Pendulum-v1 has a Box of actions, must have a Discrete"):
        make_agent("Pendulum-v1")
    with pytest.raises(ConfigError, match=r"module: must have no memory"):
        make_agent(module=GRU(4))
