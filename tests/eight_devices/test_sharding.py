"""Eight devices give what one gives. `tests/training/test_sharding.py` runs this in a process of its own."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import precision
from jaxrl_suite.training.members import parse_grid, single, swept
from jaxrl_suite.training.options import Options
from jaxrl_suite.training.planning import make_program
from tests.helpers import ToyConfig, load_benchmark, ppo_agent, same, same_states, toy, toy_agent

every_agent = load_benchmark("every_agent")
COLLECTIVES = re.compile(r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast")
QUICK = ("stepmix",)
ROUNDED = ("sac_iwocs",)
"""Where a loop over members is rounded otherwise than one member is, after a few updates."""
AGENTS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in every_agent.agents()]


def program_text(agent, members, **options):
    with precision(agent.info.precision):
        program = make_program(agent, members(), Options(quick_compile=True, **options))
        program.compile()
        return program._compiled()[1].as_text()


def numbers(tree):
    return [np.asarray(x, float) for x in jax.tree.leaves(tree) if np.issubdtype(x.dtype, np.number)]


def data_agent(**settings):
    return ppo_agent(num_envs=8, data_shards=4, total_updates=2, **settings)


@pytest.fixture(scope="module")
def unsplit():
    """Two seeds of an agent of four shards, each seed on one device."""
    return jrl.train(data_agent(), seeds=2, updates=1, devices=2, data=1, quick_compile=True)


@pytest.mark.parametrize("name", AGENTS)
def test_sharded_members_are_the_same_members(name):
    """Bit for bit where a device has one member at a time, whatever the devices; no collectives."""
    agent = every_agent.small(name)
    if agent.info.host_stepped:
        pytest.skip("stepped on the host: nothing is compiled, nothing is spread")
    alone = jrl.train(agent, seeds=8, updates=1, devices=1, group=1, quick_compile=True)
    spread = jrl.train(agent, seeds=8, updates=1, quick_compile=True)
    assert spread.plan["devices"] == 8
    if name not in ROUNDED:
        assert all(same(alone.metrics[key], spread.metrics[key]) for key in alone.metrics)
        assert same_states(alone.state, spread.state)
    else:
        for one, other in zip(numbers(alone.state), numbers(spread.state), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert not COLLECTIVES.search(program_text(agent, lambda: single(agent.info, tuple(range(8)))))


def test_a_sweep_of_settings_and_seeds_has_no_collectives():
    """Eleven members on eight devices: five more are run for nothing, and nobody sees them."""
    env, params = jrl.make("probe/never-ending")
    agent, grid = toy(env, params, ToyConfig()), {"rate": [0.1 * i for i in range(1, 12)]}
    text = program_text(agent, lambda: swept(agent.info, parse_grid(grid), (0,)))
    assert "HloModule" in text
    assert not COLLECTIVES.search(text)
    run = jrl.sweep(toy, (env, params), ToyConfig(), grid, seeds=1)
    assert run.plan["padded"] == 16
    assert run.metrics["loss/toy"].shape == (11, 1, 60)
    one = jrl.sweep(toy, (env, params), ToyConfig(), grid, seeds=1, devices=1)
    np.testing.assert_allclose(run.metrics["loss/toy"], one.metrics["loss/toy"], rtol=1e-6)


@pytest.mark.parametrize(("devices", "data"), [(8, 4), pytest.param(4, 2, marks=pytest.mark.slow)])
def test_shards_on_several_devices_are_the_shards_on_one(devices, data, unsplit):
    """Means over shards are added in another order: 1e-6 after one update; what the environments did is the same."""
    run = jrl.train(data_agent(), seeds=2, updates=1, devices=devices, data=data, quick_compile=True)
    assert (run.plan["devices"], run.plan["data"]) == (devices, data)
    for one, other in zip(numbers(unsplit.state.params), numbers(run.state.params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_array_equal(unsplit.state.env.episode_length, run.state.env.episode_length)
    for name in unsplit.metrics:
        np.testing.assert_allclose(unsplit.metrics[name], run.metrics[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_settings_seeds_and_shards_at_once():
    grid = {"learning_rate": [1e-3, 1e-2]}
    agent = data_agent()
    where = (agent.info.env, agent.info.env_params)
    together = jrl.sweep(jrl.agents.ppo, where, agent.info.config, grid, seeds=2, updates=1, quick_compile=True)
    assert (together.plan["devices"], together.plan["data"]) == (8, 2)
    assert not same_states(
        jax.tree.map(lambda x: x[0, 0], together.state.params), jax.tree.map(lambda x: x[1, 0], together.state.params)
    )
    assert together.state.env.episode_length.shape == (2, 2, 4, 2)


def test_one_update_under_jit_shard_map_and_pmap():
    """The same pure function, whoever splits the environments over devices."""
    agent = data_agent()
    key = jax.random.key(1)
    state = jax.jit(agent.init)(jax.random.key(0))
    expected = jax.jit(agent.update)(key, state, jnp.int32(0))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    split = jax.tree.map(lambda is_split: P("data") if is_split else P(), agent.info.split)
    placed = jax.tree.map(
        lambda spec, part: jax.device_put(part, NamedSharding(mesh, spec)),
        split,
        state,
        is_leaf=lambda x: isinstance(x, P),
    )
    by_jit = jax.jit(agent.update)(key, placed, jnp.int32(0))

    specs = {"in_specs": (P(), split, P()), "out_specs": (split, P())}
    by_shard_map = jax.jit(jax.shard_map(agent.update, mesh=mesh, check_vma=False, **specs))(key, state, jnp.int32(0))

    axes = jax.tree.map(lambda is_split: 0 if is_split else None, agent.info.split)
    rows = jax.tree.map(
        lambda is_split, part: jax.tree.map(lambda x: x.reshape(4, 1, *x.shape[1:]), part) if is_split else part,
        agent.info.split,
        state,
    )
    pmapped = jax.pmap(
        agent.update, axis_name="data", in_axes=(None, axes, None), out_axes=(axes, None), devices=jax.devices()[:4]
    )
    by_pmap, metrics = pmapped(key, rows, jnp.int32(0))
    by_pmap = jax.tree.map(
        lambda is_split, part: jax.tree.map(lambda x: x.reshape(4, *x.shape[2:]), part) if is_split else part,
        agent.info.split,
        by_pmap,
    )
    for found in (by_jit, by_shard_map, (by_pmap, metrics)):
        for one, other in zip(numbers(expected), numbers(found), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_members_under_jit_with_shardings_and_pmap():
    """Seeds need nothing of the suite to be spread: a batched update follows where its members are."""
    agent = ppo_agent(num_minibatches=1, num_epochs=1)
    keys = jax.random.split(jax.random.key(0), 8)
    states = jax.jit(jax.vmap(agent.init))(keys)
    update = jax.vmap(agent.update, (0, 0, None))
    expected = jax.jit(update)(keys, states, jnp.int32(0))
    mesh = jax.make_mesh((8,), ("member",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((keys, states), NamedSharding(mesh, P("member")))
    compiled = jax.jit(update).lower(*placed, jnp.int32(0)).compile()
    assert not COLLECTIVES.search(compiled.as_text())
    by_pmap = jax.pmap(agent.update, in_axes=(0, 0, None))(keys, states, jnp.int32(0))
    for found in (compiled(*placed, jnp.int32(0)), by_pmap):
        for one, other in zip(numbers(expected), numbers(found), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_run_goes_on_with_fewer_devices(tmp_path):
    """8, then 2, then 1; one member at a time on each, so bit for bit."""
    agent = toy_agent(total_updates=30)
    jrl.train(agent, seeds=8, updates=10, group=1, out=tmp_path / "run")
    jrl.resume(tmp_path / "run", agent, updates=20, devices=2, group=1)
    last = jrl.resume(tmp_path / "run", agent, updates=30, devices=1, group=1)
    whole = jrl.train(agent, seeds=8, group=1)
    assert all(same(last.metrics[name], whole.metrics[name]) for name in whole.metrics)
    assert same_states(last.state, whole.state)


@pytest.mark.slow
def test_shards_go_on_with_fewer_devices(tmp_path, unsplit):
    agent = data_agent()
    jrl.train(agent, seeds=2, updates=1, quick_compile=True, out=tmp_path / "run")
    last = jrl.resume(tmp_path / "run", agent, updates=2, devices=2, data=1)
    whole = jrl.train(agent, seeds=2, devices=2, data=1, quick_compile=True)
    for one, other in zip(numbers(whole.state.params), numbers(last.state.params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ({"data": 3}, {}, "data = 3: must be between 1 and 8"),
        ({"data": 2, "devices": 1}, {}, "data = 2: must be between 1 and 1"),
        ({}, {"normalize_observations": True}, "normalize_observations = True: must be False with data_shards = 4"),
        ({}, {"data_shards": 3}, "data_shards = 3: must divide num_envs = 8"),
        ({}, {"data_shards": 8, "num_minibatches": 32}, r"must divide num_envs \* rollout_length / data_shards"),
    ],
)
def test_shards_that_cannot_be(options, settings, message):
    agent = ppo_agent(**({"num_envs": 8, "data_shards": 4} | settings))
    with pytest.raises(ConfigError, match=message):
        jrl.train(agent, seeds=1, **options)
