"""PPO against its spec: the first minibatch, known values, and what each switch must change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from tests.known_answers.ledger import known_answer

SMALL = {"num_envs": 4, "rollout_length": 32, "hidden_sizes": (16,), "total_updates": 10}


def updated(env_id="CartPole-v1", updates=1, **settings):
    env, params = jrl.make(env_id)
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**(SMALL | settings)))
    state = jax.jit(agent.init)(jax.random.key(0))
    update = jax.jit(agent.update)
    for step in range(updates):
        state, metrics = update(jax.random.key(step), state, jnp.int32(step))
    return agent, state, metrics


@known_answer("baselines/first-pass")
def test_first_pass_has_ratio_one():
    """Known answer B10.4: in the first minibatch of the first epoch rho = 1, KL = 0, clip fraction = 0."""
    _, _, metrics = updated(num_epochs=1, num_minibatches=1)
    np.testing.assert_allclose(metrics["policy/approx_kl"], 0.0, atol=1e-6)
    np.testing.assert_allclose(metrics["policy/clip_fraction"], 0.0, atol=1e-6)
    _, _, later = updated(num_epochs=4, num_minibatches=1, learning_rate=1e-2)
    assert later["policy/approx_kl"] > 1e-4


@pytest.mark.parametrize(
    ("torso", "env_id"),
    [
        pytest.param("mlp", "Pendulum-v1", marks=pytest.mark.slow),
        ("gru", "CartPole-v1"),
        pytest.param("mlp", "CartPole-v1", marks=pytest.mark.slow),
        pytest.param("gru", "Pendulum-v1", marks=pytest.mark.slow),
    ],
)
def test_all_kinds_run_and_stay_finite(env_id, torso):
    agent, state, metrics = updated(env_id, updates=2, torso=torso, normalize_observations=True, scale_rewards=True)
    assert all(np.isfinite(v) for name, v in metrics.items() if name.startswith(("loss", "policy")))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
    memory = agent.start(jax.random.key(0), state)
    env, params = jrl.make(env_id)
    observation, _ = env.reset(jax.random.key(1), params)
    action, memory_after = agent.act(jax.random.key(2), state, memory, observation, True)
    assert action.shape == env.action_space(params).shape
    assert jax.tree.structure(memory) == jax.tree.structure(memory_after)
    assert (torso == "gru") == bool(jax.tree.leaves(memory))


def test_gru_memory_is_rebuilt_in_the_loss():
    """With memory, too, the first pass over a rollout sees exactly the policy that played it."""
    _, _, metrics = updated(torso="gru", num_epochs=1, num_minibatches=1, updates=3)
    np.testing.assert_allclose(metrics["policy/approx_kl"], 0.0, atol=1e-6)


def test_squashed_actions_stay_within_bounds():
    agent, state, _ = updated("Pendulum-v1", squash=True, updates=2)
    noisy = [agent.act(jax.random.key(i), state, (), jnp.ones(3) * 9.0, False)[0] for i in range(20)]
    assert np.abs(np.asarray(noisy)).max() <= 2.0


def test_a_users_module_takes_the_torsos_place():
    import flax.linen as nn

    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, observation):
            return nn.relu(nn.Dense(7)(observation))

    _, state, _ = updated(module=Tiny())
    shapes = {x.shape for x in jax.tree.leaves(state.params)}
    assert (4, 7) in shapes
    assert (7, 2) in shapes


def test_learning_rate_falls_linearly_per_update():
    """At the last of 10 updates it is a tenth; a step by Adam is proportional to it."""
    env, params = jrl.make("CartPole-v1")
    settings = SMALL | {"num_epochs": 1, "num_minibatches": 1}
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**settings))
    state = agent.init(jax.random.key(0))

    def moved(step):
        new, _ = jax.jit(agent.update)(jax.random.key(1), state, jnp.int32(step))
        change = jax.tree.map(lambda a, b: (a - b).ravel(), new.params, state.params)
        return np.concatenate(jax.tree.leaves(change))

    np.testing.assert_allclose(moved(9), 0.1 * moved(0), rtol=2e-3, atol=1e-7)
    assert np.all(moved(10) == 0.0)
    assert np.all(moved(15) == 0.0)


def test_gradient_clipping_is_a_norm():
    """A clip a hundred times smaller gives moments a hundred times smaller: one norm scales every element."""
    env, params = jrl.make("CartPole-v1")
    moments = []

    @jax.jit
    def clipped(limit):
        settings = SMALL | {"num_epochs": 1, "num_minibatches": 1, "max_grad_norm": limit}
        agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**settings))
        return agent.update(jax.random.key(1), agent.init(jax.random.key(0)), jnp.int32(0))

    for limit in (1e-3, 1e-5):
        state, _ = clipped(limit)
        mu = state.opt_state[1].mu
        moments.append(np.concatenate([x.ravel() for x in jax.tree.leaves(mu)]))
    np.testing.assert_allclose(np.linalg.norm(moments[0]), 0.1 * 1e-3, rtol=1e-3)
    np.testing.assert_allclose(moments[0], 100 * moments[1], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_minibatches": 3}, "num_minibatches = 3: must divide"),
        ({"torso": "gru", "num_minibatches": 3}, "whole sequences"),
        ({"learning_rate": -1e-3}, r"learning_rate = -0.001: must be > 0"),
        ({"discount": 1.5}, "discount = 1.5: must be >= 0 and <= 1"),
        ({"hidden_sizes": ()}, "hidden_sizes"),
        ({"activation": "tahn"}, "activation = 'tahn': must be one of"),
        ({"reset_pool": 9}, "reset_pool = 9"),
        ({"num_envs": 0}, "num_envs = 0: must be >= 1"),
    ],
)
def test_bad_settings_are_refused_before_compiling(settings, message):
    env, params = jrl.make("CartPole-v1")
    with pytest.raises(ConfigError, match=message):
        jrl.train(jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**(SMALL | settings))), seeds=1)


@pytest.mark.slow
def test_every_float_setting_can_be_swept():
    """All in one program, environment parameters too; a value that differs leads to other parameters."""
    from jaxrl_suite.config import sweepable_fields

    env, params = jrl.make("CartPole-v1")
    settings = {"num_epochs": 2, "num_minibatches": 2, "learning_rate": 1e-2}
    config = jrl.agents.PPOConfig(**(SMALL | settings))
    names = sweepable_fields(config)
    factors = {"max_grad_norm": 0.01, "clip_eps": 0.01}
    grid = {name: [getattr(config, name), getattr(config, name) * factors.get(name, 0.5)] for name in names}
    run = jrl.sweep(jrl.agents.ppo, (env, params), config, grid | {"env.length": [0.5, 0.7]}, seeds=1, updates=2)
    kernels = run.state.params.critic["params"]["torso"]["Dense_0"]["kernel"][:, 0]
    base = np.asarray(kernels).reshape(*([2] * len(names)), 2, -1)
    origin = base[(0,) * (len(names) + 1)]
    for axis, name in enumerate([*names, "env.length"]):
        index = tuple(int(i == axis) for i in range(len(names) + 1))
        assert not np.array_equal(base[index], origin), f"{name} changes nothing"
