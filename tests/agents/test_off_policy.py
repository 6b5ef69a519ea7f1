"""SAC and TD3 against their definitions: targets by hand, when what is learnt, what is replayed, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import spaces

import jaxrl_suite as jrl
from jaxrl_suite.agents.sac import networks_of
from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.errors import ConfigError
from tests.agents.off_policy_tools import SLOPE, changed, constant, quick
from tests.helpers import after_updates, same, same_states
from tests.known_answers.ledger import known_answer

SMALL = {"num_envs": 2, "batch_size": 8, "buffer_size": 24, "hidden_sizes": (8,), "learning_starts": 0}
LOW, HIGH = -1.0, 5.0
MIDDLE, HALF = 2.0, 3.0


@struct.dataclass
class LineParams:
    """reward: of every step. ends: whether the first step terminates. max_steps_in_episode: or is cut off."""

    reward: float = 0.5
    ends: bool = False
    max_steps_in_episode: int = 1


class Line(BaseEnv):
    """Nothing to see; actions do nothing."""

    id = "test/line"
    default_params = LineParams()

    def observation_space(self, params):
        return spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def action_space(self, params):
        return spaces.Box(LOW, HIGH, (1,), jnp.float32)

    def _reset(self, key, params):
        return jnp.zeros(1), jnp.int32(0)

    def _advance(self, key, state, action, params):
        return jnp.zeros(1), state + 1, params.reward, params.ends, state + 1 >= params.max_steps_in_episode, {}


LINE = Line()


def make_agent(name, env_settings=None, env=LINE, **settings):
    factory = jrl.agents.agent_named(name)
    params = env.default_params.replace(**(env_settings or {}))
    return factory(env, params, factory.config_class(**(SMALL | {"total_updates": 20} | settings)))


def run_of(name, count, **settings):
    """(agent, states before each update and after the last, metrics of each)."""
    return after_updates(make_agent(name, **settings), count)


ENDS = [
    ({}, {}, True),
    ({"ends": True}, {}, False),
    ({}, {"truncation_is_termination": True}, False),
]


@pytest.mark.parametrize(("env_settings", "settings", "bootstraps"), ENDS, ids=["cut off", "end", "cut off, as an end"])
@pytest.mark.parametrize("name", ["sac", "td3"])
def test_targets_bootstrap_through_truncation_from_the_lesser_twin(name, env_settings, settings, bootstraps):
    """Critics that say 2 and 3, targets that say 7 and 5, a reward of 0.5; entropy counts for nothing."""
    if name == "sac":
        settings = settings | {"initial_temperature": 1e-9, "temperature_rate": 1e-9}
    agent = make_agent(name, env_settings, discount=0.9, **settings)
    state, target = agent.init(jax.random.key(0)), "targets" if name == "sac" else "target_critics"
    parts = {"critics": constant(state.learned.critics, [2.0, 3.0])}
    parts[target] = constant(state.learned.critics, [7.0, 5.0])
    state = changed(state, **parts)
    for step in range(4):
        state, metrics = quick(agent.update)(jax.random.key(1), changed(state, **parts), jnp.int32(step))
    y = 0.5 + (0.9 * 5.0 if bootstraps else 0.0)
    np.testing.assert_allclose(metrics["loss/critic"], (2 - y) ** 2 + (3 - y) ** 2, rtol=1e-4)
    np.testing.assert_allclose(metrics["value/mean"], 2.5, rtol=1e-5)


@pytest.mark.slow
def test_the_soft_target_has_the_entropy_of_the_next_action():
    """A policy of known spread: y = 0.5 + 0.9 (5 - alpha log pi), whose mean over many samples is with the entropy."""
    agent = make_agent("sac", batch_size=4096, buffer_size=4096, discount=0.9, initial_temperature=2.0, polyak=1e-9)
    state = agent.init(jax.random.key(0))
    actor = constant(state.learned.actor, [0.3, 0.0])
    state = changed(
        state,
        actor=actor,
        critics=constant(state.learned.critics, [0.0, 0.0]),
        targets=constant(state.learned.critics, [5.0, 7.0]),
    )
    buffer = jax.tree.map(lambda x: jnp.full_like(x, 0.5 if x.dtype == jnp.float32 else 0), state.buffer.experience)
    state = state.replace(buffer=state.buffer.replace(experience=buffer, is_full=jnp.asarray(True)))
    _, metrics = quick(agent.update)(jax.random.key(1), state, jnp.int32(4096))
    networks = networks_of(LINE, LINE.default_params, agent.info.config)
    entropy = networks.policy.entropy(networks.actor(actor, jnp.zeros(1)))
    log_std = -1.5  # half-way between -5 and 2
    assert entropy == pytest.approx(0.5 * np.log(2 * np.pi * np.e) + log_std + np.log(HALF) - 0.13, abs=0.05)
    y = 0.5 + 0.9 * (5.0 + 2.0 * entropy)
    # Of log pi's variance, about 1/2, the mean of two squares has twice.
    np.testing.assert_allclose(metrics["loss/critic"], 2 * (y**2 + (0.9 * 2.0) ** 2 / 2), rtol=0.03)


def test_targets_of_td3_have_clipped_noise_within_the_bounds():
    """Critics that say how far from the middle an action is, a target actor in the middle: noise far beyond its clip
    is that clip, or the bound where the clip reaches beyond it."""
    for clip, reach in ((0.5, 0.5 * HALF), (3.0, HALF)):
        agent = make_agent(
            "td3", hidden_sizes=(1,), target_noise=1e6, target_noise_clip=clip, discount=0.9, critic_rate=1e-9
        )
        state = agent.init(jax.random.key(0))
        # Q = relu(a + 8) - 10 = a - 2, of the input (s, a).
        critics = jax.tree.map(jnp.zeros_like, state.learned.critics)
        hidden = critics["params"]["MLP_0"]["Dense_0"]
        hidden["kernel"], hidden["bias"] = jnp.tile(jnp.array([[[0.0], [1.0]]]), (2, 1, 1)), jnp.full((2, 1), 8.0)
        head = critics["params"]["Dense_0"]["Dense_0"]
        head["kernel"], head["bias"] = jnp.ones((2, 1, 1)), jnp.full((2, 1), -10.0)
        parts = {
            "critics": constant(state.learned.critics, [-1.0, -1.0]),
            "target_critics": critics,
            "target_actor": constant(state.learned.actor, [0.0]),
        }
        for step in range(4):
            state, metrics = quick(agent.update)(jax.random.key(2), changed(state, **parts), jnp.int32(step))
        # y = 0.5 +- 0.9 reach, each sample one or the other: so many of eight decide the twins' mean of (y + 1)^2.
        squares = 2 * np.array([(1.5 - 0.9 * reach) ** 2, (1.5 + 0.9 * reach) ** 2])
        shares = (float(metrics["loss/critic"]) - squares[0]) / (squares[1] - squares[0]) * 8
        assert 0 < round(shares) < 8
        np.testing.assert_allclose(shares, round(shares), atol=1e-3)


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_the_actor_has_its_turn_every_other_minibatch(name):
    """2 steps an update, minibatches of 8: learning starts with the fourth update, which is number 3."""
    _, states, metrics = run_of(name, 8, policy_period=2)
    for step in range(8):
        before, after = states[step].learned, states[step + 1].learned
        learns, is_turn = step >= 3, step >= 3 and step % 2 == 0
        assert same_states(before.critics, after.critics) != learns, step
        assert same_states(before.actor, after.actor) != is_turn, step
        assert bool(np.isfinite(metrics[step]["loss/critic"])) == learns, step
        assert bool(np.isfinite(metrics[step]["loss/actor"])) == is_turn, step


@pytest.mark.slow
def test_targets_of_sac_move_at_each_minibatch_and_its_actor_catches_up():
    _, states, _ = run_of("sac", 7, policy_period=3, polyak=0.25)
    for step in (4, 5, 6):
        before, after = states[step].learned, states[step + 1].learned
        moved = jax.tree.map(lambda target, new: 0.75 * target + 0.25 * new, before.targets, after.critics)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), moved, after.targets)
    # Learning starts at minibatch 3, which is a turn, as is 6: three steps each, of actor and temperature.
    assert [int(states[step].learned.actor_opt.count) for step in (3, 4, 6, 7)] == [0, 3, 3, 6]
    assert [int(states[step].learned.temperature_opt.count) for step in (3, 4, 6, 7)] == [0, 3, 3, 6]


def test_targets_of_td3_move_at_the_actors_turns():
    _, states, _ = run_of("td3", 8, policy_period=2, polyak=0.25)
    for step in (4, 5, 6, 7):
        before, after = states[step].learned, states[step + 1].learned
        pairs = ((before.target_actor, after.actor, after.target_actor),
                 (before.target_critics, after.critics, after.target_critics))  # fmt: skip
        for old, new, target in pairs:
            expected = old if step % 2 else jax.tree.map(lambda o, n: 0.75 * o + 0.25 * n, old, new)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), expected, target)


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_actions_are_uniform_before_learning_starts_and_the_policys_after(name):
    """An actor that wants the upper bound. 24 of 48 environment steps are random."""
    agent = make_agent(name, num_envs=12, buffer_size=48, learning_starts=24, batch_size=48)
    state = agent.init(jax.random.key(0))
    state = changed(state, actor=constant(state.learned.actor, [20.0, -20.0] if name == "sac" else [20.0]))
    for step in range(4):
        state, _ = quick(agent.update)(jax.random.key(step), state, jnp.int32(step))
    actions = np.asarray(state.buffer.experience.action[0, :, 0])
    assert LOW <= actions[:24].min() < LOW + 1.5
    assert HIGH - 1.5 < actions[:24].max() <= HIGH
    assert abs(actions[:24].mean() - MIDDLE) < 1.5
    assert actions[24:].min() > HIGH - (1e-3 if name == "sac" else 4 * 0.1 * HALF)
    assert actions[24:].max() <= HIGH


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_actions_at_the_bounds_give_numbers(name):
    """tanh of 60 is 1 in float32: its inverse and the logarithm of its slope would be infinite."""
    agent = make_agent(name)
    state = agent.init(jax.random.key(0))
    state = changed(state, actor=constant(state.learned.actor, [60.0, 60.0] if name == "sac" else [60.0]))
    for step in range(6):
        state, metrics = quick(agent.update)(jax.random.key(step), state, jnp.int32(step))
    assert np.isfinite(metrics["loss/critic"])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.learned))


@pytest.mark.parametrize(("spread", "rises"), [(-20.0, True), (0.0, False)])
def test_the_temperature_follows_the_entropy(spread, rises):
    """Far below the target entropy of -1, or far above."""
    agent = make_agent("sac", policy_period=1, actor_rate=1e-9)
    state = agent.init(jax.random.key(0))
    state = changed(state, actor=constant(state.learned.actor, [0.0, spread]))
    for step in range(5):
        state, metrics = quick(agent.update)(jax.random.key(step), state, jnp.int32(step))
    assert (metrics["temperature"] > 1.0) == rises
    assert (metrics["policy/entropy"] < -1.0) == rises


@known_answer("iwocs/plain-value")
@pytest.mark.slow
def test_an_enhanced_critic_without_entropy_has_the_same_two_values():
    """alpha = 0: soft and plain value have one target; and what follows is learnt."""
    agent = make_agent(
        "sac", {"max_steps_in_episode": 50}, enhanced=True, initial_temperature=1e-9, temperature_rate=1e-9,
        discount=0.5, critic_rate=1e-2, total_updates=400,
    )  # fmt: skip

    def step(state, inputs):
        return agent.update(inputs[0], state, inputs[1])

    inputs = (jax.random.split(jax.random.key(1), 1500), jnp.arange(1500))
    _, metrics = quick(lambda: jax.lax.scan(step, agent.init(jax.random.key(0)), inputs))()
    # 0.5 for ever, at a discount of 0.5.
    np.testing.assert_allclose(np.mean(metrics["value/mean"][-200:]), 1.0, atol=0.05)
    np.testing.assert_allclose(np.mean(metrics["value/plain"][-200:]), 1.0, atol=0.05)
    assert np.mean(metrics["loss/predictor"][-200:]) < 0.1 < metrics["loss/predictor"][5]


def test_each_loss_of_an_enhanced_critic_leaves_the_other_heads():
    """Adam has seen no gradient of a head that its loss does not use."""
    agent = make_agent("sac", enhanced=True)
    state = agent.init(jax.random.key(0))
    for step in range(6):
        state, _ = quick(agent.update)(jax.random.key(step), state, jnp.int32(step))
    used = [
        {name for name, part in opt.mu["params"].items() if any(np.any(x) for x in jax.tree.leaves(part))}
        for opt in state.learned.critic_opts
    ]
    trunk = "MLP_0"
    assert [names - {trunk} for names in used] == [{"Dense_0"}, {"MLP_1", "Dense_1"}, {"Dense_2"}]
    assert all(trunk in names for names in used)


@pytest.mark.parametrize(
    ("name", "env"),
    [("sac", LINE), ("td3", LINE), *(pytest.param(name, SLOPE, marks=pytest.mark.slow) for name in ("m2td3", "rarl"))],
)
def test_replay_is_never_copied(name, env):
    """A chunk of updates with a large memory: the memory goes in and out in one place, and nothing else is as large."""
    agent = make_agent(name, env=env, buffer_size=200_000, hidden_sizes=(4,))

    def chunk(state):
        return jax.lax.scan(lambda s, i: (agent.update(jax.random.key(0), s, i)[0], None), state, jnp.arange(10))[0]

    batched = jax.jit(jax.vmap(chunk), donate_argnums=0)
    states = jax.eval_shape(lambda: jax.vmap(agent.init)(jax.random.split(jax.random.key(0), 2)))
    analysis = batched.lower(states).compile().memory_analysis()
    memory = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(states.buffer))
    assert memory > 6e6
    assert analysis.alias_size_in_bytes >= memory
    assert analysis.temp_size_in_bytes < memory / 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sac", "td3"])
def test_members_are_the_same_alone(name):
    agent = make_agent(name)
    keys = jax.random.split(jax.random.key(0), 3)

    def after_five(key):
        step = lambda s, i: (agent.update(jax.random.fold_in(key, i), s, i)[0], None)  # noqa: E731
        return jax.lax.scan(step, agent.init(key), jnp.arange(5))[0].learned.actor

    together, alone = quick(jax.vmap(after_five))(keys), quick(after_five)(keys[1])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1], y, atol=1e-4), together, alone)


def test_greedy_play_is_the_mode():
    agent = make_agent("sac")
    state = agent.init(jax.random.key(0))
    state = changed(state, actor=constant(state.learned.actor, [0.5, 0.0]))
    expected = MIDDLE + HALF * np.tanh(0.5)
    action, _ = agent.act(jax.random.key(1), state, (), jnp.zeros(1), True)
    np.testing.assert_allclose(action, [expected], rtol=1e-5)
    sampled, _ = agent.act(jax.random.key(1), state, (), jnp.zeros(1), False)
    assert not same(action, sampled)


@pytest.mark.parametrize(
    ("name", "env_id", "settings", "message"),
    [
        ("sac", "CartPole-v1", {}, "sac on CartPole-v1: action space Discrete: must be a Box"),
        ("td3", "CartPole-v1", {}, "td3 on CartPole-v1: action space Discrete"),
        ("sac", "Pendulum-v1", {"highest_log_std": -6.0}, r"lowest_log_std = -5.0: must be below highest_log_std = -6"),
        ("sac", "Pendulum-v1", {"buffer_size": 4}, "buffer_size = 4: must hold batch_size = 8"),
        ("td3", "Pendulum-v1", {"polyak": 1.5}, "polyak = 1.5"),
        ("td3", "Pendulum-v1", {"hidden_sizes": ()}, "TD3Config.hidden_sizes"),
    ],
)
def test_what_cannot_work_is_refused(name, env_id, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_agent(name, env=jrl.make(env_id)[0], **settings)
