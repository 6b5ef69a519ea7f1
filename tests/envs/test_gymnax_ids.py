"""Every gymnax environment through the adapter: the same steps as gymnax's own, in types that a scan can carry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite import envs

IDS = [id for id in envs.list_envs() if "/" not in id and id != "MNISTBandit-bsuite"]
QUICK = ("CartPole-v1", "Pendulum-v1", "MountainCar-v0", "DeepSea-bsuite", "Breakout-MinAtar", "FourRooms-misc")
COMPILED = [pytest.param(id, marks=() if id in QUICK else pytest.mark.slow) for id in IDS]


def types_of(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


def as_arrays(params, copies):
    """Parameters as a sweep passes them: strongly typed, with a leading axis."""

    def stack(leaf):
        dtype = jnp.float32 if isinstance(leaf, float) else None
        return jnp.stack([jnp.asarray(np.asarray(leaf), dtype)] * copies)

    return jax.tree.map(stack, params)


@pytest.fixture(scope="module", params=IDS)
def made(request):
    return envs.make(request.param)


@pytest.fixture(scope="module")
def abstract(made):
    """Abstract results of a reset and a step, with batched parameters: (reset, transition, step), and the action."""
    env, params = made

    def play(key, params):
        action = env.action_space(params).sample(key)
        observation, state = env.reset(key, params)
        transition = env.transition(key, state, action, params)
        return (observation, state), transition, env.step(key, state, action, params)

    swept = as_arrays(params, 3)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
    return jax.eval_shape(jax.vmap(play), keys, swept)


def test_outputs_match_spaces_and_dtypes(made, abstract):
    env, params = made
    (observation, _), transition, step = abstract
    space = env.observation_space(params)
    for got in (observation, transition[0], step[0], step[5]["final_observation"]):
        assert (got.shape[1:], got.dtype) == (tuple(space.shape), space.dtype)
        assert not got.weak_type
        assert got.dtype == jnp.float32
    for _, _, reward, terminated, truncated, *_ in (transition, step):
        assert (reward.shape, reward.dtype, reward.weak_type) == ((3,), jnp.float32, False)
        assert terminated.dtype == truncated.dtype == jnp.bool_


def test_state_keeps_its_types_so_that_a_scan_can_carry_it(abstract):
    (_, state), transition, step = abstract
    assert types_of(state) == types_of(transition[1]) == types_of(step[1])
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))


def test_raw_observations_match_their_space(made):
    env, params = envs.make(made[0].id, observation="raw")
    observation, _ = jax.eval_shape(env.reset, jax.random.key(0), params)
    space = env.observation_space(params)
    assert (observation.shape, observation.dtype) == (tuple(space.shape), space.dtype)


@pytest.mark.parametrize("id", COMPILED)
def test_step_equals_gymnax_with_swept_parameters(id):
    """Two copies with traced parameters, short episodes so that resets happen, compared step by step."""
    env, params = envs.make(id)
    theirs = env.env
    params = params.replace(max_steps_in_episode=7)

    def compare(key, params):
        own_params = params.replace(
            max_steps_in_episode=params.max_steps_in_episode.astype(
                jnp.result_type(theirs.default_params.max_steps_in_episode)
            )
        )
        action_space = env.action_space(params)

        def body(state, key):
            key_action, key_step = jax.random.split(key)
            action = action_space.sample(key_action)
            observation, after, *flags, info = env.step(key_step, state, action, params)
            observation_2, _, *flags_2, info_2 = theirs.step(key_step, state, action, own_params)
            ours = (observation, info["final_observation"], *flags)
            gymnax = (observation_2, info_2["final_observation"], *flags_2)
            return after, (ours, gymnax)

        state = env.reset(key, params)[1]
        return jax.lax.scan(body, state, jax.random.split(key, 15))[1]

    cheap = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    run = jax.jit(jax.vmap(compare), compiler_options=cheap)
    ours, gymnax = run(jax.random.split(jax.random.key(1), 2), as_arrays(params, 2))
    is_discrete = hasattr(theirs.observation_space(theirs.default_params), "n")
    for index, (mine, other) in enumerate(zip(ours, gymnax, strict=True)):
        other = jax.nn.one_hot(other, mine.shape[-1]) if is_discrete and index < 2 else other
        np.testing.assert_array_equal(mine, other)
    assert np.any(ours[3] | ours[4]), "no episode ended, so no reset was compared"
