"""The runner's identities: chunks, members, settings, budgets, records, and what a bad call must leave behind."""

import dataclasses
import logging
import os
import re
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.errors import ConfigError, RunDirectoryError
from tests.helpers import ToyConfig, ppo_agent, same, same_states, toy, toy_agent
from tests.known_answers.ledger import known_answer


@pytest.mark.parametrize("make_agent", [toy_agent, pytest.param(ppo_agent, marks=pytest.mark.slow)])
def test_chunks_change_nothing(make_agent):
    """One chunk = many chunks, metrics and state bit for bit."""
    whole = jrl.train(make_agent(), seeds=3, chunk=1000)
    parts = jrl.train(make_agent(), seeds=3, chunk=5)
    assert all(same(whole.metrics[name], parts.metrics[name]) for name in whole.metrics)
    assert same_states(whole.state, parts.state)


def test_compiles_once_over_chunks_and_a_resume(tmp_path):
    """Counted from JAX's own compile log."""
    records = []

    class Handler(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    logger, handler = logging.getLogger("jax._src.interpreters.pxla"), Handler()
    logger.addHandler(handler)
    jax.config.update("jax_log_compiles", True)
    try:
        agent = toy_agent(noise=0.02, width=7)
        jrl.train(agent, seeds=2, updates=30, chunk=10, out=tmp_path / "run")
        jrl.resume(tmp_path / "run", agent, updates=60, chunk=10)
    finally:
        jax.config.update("jax_log_compiles", False)
        logger.removeHandler(handler)
    chunk_compiles = [m for m in records if "jit(on_devices)" in m]
    assert len(chunk_compiles) == 2, f"init and chunk once each, not {chunk_compiles}"


@known_answer("baselines/members")
def test_member_alone_is_the_member_in_a_batch():
    """Same keys; equal to 1e-5 after one update, whoever runs beside it."""
    many = jrl.train(ppo_agent(), seeds=4, updates=1)
    alone = jrl.train(ppo_agent(), seeds=[2], updates=1)
    for a, b in zip(jax.tree.leaves(many.state.params), jax.tree.leaves(alone.state.params), strict=True):
        np.testing.assert_allclose(a[2], b[0], atol=1e-5)
    np.testing.assert_array_equal(many.state.env.episode_length[2], alone.state.env.episode_length[0])


@pytest.mark.parametrize("group", [1, 2, 3])
def test_groups_and_devices_do_not_change_members(group):
    plain = jrl.train(toy_agent(), seeds=5, devices=1)
    grouped = jrl.train(toy_agent(), seeds=5, group=group)
    np.testing.assert_allclose(plain.metrics["loss/toy"], grouped.metrics["loss/toy"], rtol=1e-6)
    assert grouped.metrics["loss/toy"].shape == (5, 60)
    assert grouped.plan["devices"] == 2


def test_sweep_compiles_one_program_and_is_ordered():
    env, params = jrl.make("probe/never-ending")
    grid = {"rate": [0.1, 0.2], "env.reward": [1.0, 3.0]}
    run = jrl.sweep(toy, (env, params), ToyConfig(noise=0.0), grid, seeds=3)
    assert run.metrics["loss/toy"].shape == (4, 3, 60)
    assert run.settings == (
        {"rate": 0.1, "env.reward": 1.0},
        {"rate": 0.1, "env.reward": 3.0},
        {"rate": 0.2, "env.reward": 1.0},
        {"rate": 0.2, "env.reward": 3.0},
    )
    np.testing.assert_allclose(run.state.position[:, 0, 0], [6.0, 18.0, 12.0, 36.0], rtol=1e-5)


def test_settings_share_the_seeds_keys():
    env, params = jrl.make("probe/never-ending")
    run = jrl.sweep(toy, (env, params), ToyConfig(), {"rate": [0.1, 0.2]}, seeds=2)
    np.testing.assert_array_equal(run.state.draw[0], run.state.draw[1])
    assert run.state.draw[0, 0] != run.state.draw[0, 1]


def test_floats_do_not_recompile():
    first = jrl.train(toy_agent(rate=0.3), seeds=2)
    second = jrl.train(toy_agent(rate=0.4), seeds=2)
    assert second.seconds.compile < 0.1 * max(first.seconds.compile, 0.2)
    assert not same(first.metrics["loss/toy"], second.metrics["loss/toy"])


def test_step_is_one_integer_for_all_members():
    run = jrl.train(toy_agent(), seeds=3)
    np.testing.assert_array_equal(run.metrics["toy/step"], np.tile(np.arange(60), (3, 1)))


def test_a_finished_member_is_frozen_and_all_finished_ends_the_run():
    env, params = jrl.make("probe/never-ending")
    config = ToyConfig(noise=0.0, can_finish=True, finish_at=1.05)
    run = jrl.sweep(toy, (env, params), config, {"rate": [0.1, 0.2]}, seeds=1, chunk=4)
    counts = run.state.count[:, 0]
    assert list(counts) == [11, 6]
    assert run.updates[-1] == 11
    assert np.isnan(run.metrics["loss/toy"][1, 0, 6:]).all()


def test_a_member_that_turns_nan_is_reported_and_the_others_go_on(capsys):
    base = jrl.train(toy_agent(), seeds=6)
    threshold = float(np.sort(base.state.draw)[2])
    run = jrl.train(toy_agent(poison_seed_below=threshold), seeds=6, chunk=20)
    assert len(run.diverged) == 2
    assert {d.update for d in run.diverged} == {6}
    healthy = [i for i in range(6) if i not in {d.seed for d in run.diverged}]
    assert all(same(run.metrics["loss/toy"][i], base.metrics["loss/toy"][i]) for i in healthy)
    assert "turned NaN at update 6" in capsys.readouterr().err


def test_records_sum_up_blocks_of_updates():
    every, plain = jrl.train(toy_agent(), seeds=2, record_every=8, chunk=16), jrl.train(toy_agent(), seeds=2)
    assert every.updates.tolist() == [8, 16, 24, 32, 40, 48, 56, 60]
    block = plain.metrics["episode/return"][:, 8:16]
    np.testing.assert_allclose(every.metrics["episode/return"][:, 1], np.nanmean(block, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(every.metrics["episode/count"][:, 1], 8)
    np.testing.assert_array_equal(every.metrics["toy/step"][:, -1], 59)
    np.testing.assert_allclose(
        every.metrics["loss/toy"][:, 0], plain.metrics["loss/toy"][:, :8].mean(axis=1), rtol=1e-5
    )


def test_final_return_is_the_weighted_mean_over_the_last_tenth():
    run = jrl.train(toy_agent(), seeds=2)
    expected = np.nanmean(run.metrics["episode/return"][:, -6:].astype(np.float64), axis=1)
    np.testing.assert_allclose(run.final_returns(), expected, rtol=1e-6)
    short = jrl.train(toy_agent(), seeds=2, updates=1)
    assert np.isnan(short.final_returns()).all()


def test_budgets():
    assert jrl.train(toy_agent(), seeds=1, env_steps=200).updates[-1] == 20
    with pytest.raises(ConfigError, match="nearest: 200 or 210"):
        jrl.train(toy_agent(), seeds=1, env_steps=205)
    with pytest.raises(ConfigError, match=r"nearest: 10$"):
        jrl.train(toy_agent(), seeds=1, env_steps=3)
    with pytest.raises(ConfigError, match="total_updates = 60"):
        jrl.train(toy_agent(), seeds=1, updates=61)
    assert jrl.train(toy_agent(), seeds=1, updates=61, extend=True).updates[-1] == 61
    with pytest.raises(ConfigError, match="updates = 0"):
        jrl.train(toy_agent(), seeds=1, updates=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: jrl.train(a, seeds=0), "at least one"),
        (lambda a: jrl.train(a, seeds=[1, 1]), "must not repeat"),
        (lambda a: jrl.train(a, seeds=[-1]), "between 0"),
        (lambda a: jrl.train(a, seeds=1, devices=99), "devices = 99"),
        (lambda a: jrl.train(a, seeds=1, group=0), "group = 0"),
        (lambda a: jrl.train(a, seeds=1, chunk=0), "chunk = 0"),
        (lambda a: jrl.train(a, seeds=1, record_every=0), "record_every = 0"),
        (lambda a: jrl.train(toy_agent(rate=-1.0), seeds=1), r"rate = -1.0: must be > 0"),
        (lambda a: jrl.train(toy_agent(rate=float("nan")), seeds=1), "must be finite"),
        (lambda a: jrl.train(toy_agent(width=0), seeds=1), "width = 0: must be >= 1"),
    ],
)
def test_bad_calls_are_refused_and_leave_no_directory(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        call(toy_agent())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"width": [2, 3]}, "ToyConfig.width is static"),
        ({"rat": [0.1]}, "did you mean rate"),
        ({"env.rewardd": [0.1]}, "did you mean env.reward"),
        ({"rate": []}, "at least one value"),
        ({"rate": [0.1, -5.0]}, r"rate = -5.0"),
    ],
)
def test_bad_grids_name_the_field(grid, message):
    env, params = jrl.make("probe/never-ending")
    with pytest.raises(ConfigError, match=message):
        jrl.sweep(toy, (env, params), ToyConfig(), grid, seeds=1)


def test_a_filled_directory_is_refused(tmp_path):
    jrl.train(toy_agent(), seeds=1, updates=1, out=tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="resume"):
        jrl.train(toy_agent(), seeds=1, updates=1, out=tmp_path / "run")


def test_evaluation_uses_its_own_stream_and_memory():
    run = jrl.train(toy_agent(), seeds=3, updates=2)
    first = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4)
    again = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4)
    np.testing.assert_array_equal(first.returns, again.returns)
    limit = run.agent.info.env_params.max_steps_in_episode
    assert (first.lengths == limit).all()
    assert first.ended.all()
    short = jrl.evaluate(run.agent, run.state, seeds=run.seeds, episodes=4, max_steps=2)
    assert (short.lengths == 2).all()
    assert not short.ended.any()


@pytest.mark.slow
def test_evaluation_is_the_same_on_any_number_of_devices():
    run = jrl.train(ppo_agent(), seeds=3, updates=1)
    play = {"seeds": run.seeds, "greedy": False}
    alone = jrl.evaluate(run.agent, run.state, episodes=5, devices=1, **play)
    spread = jrl.evaluate(run.agent, run.state, episodes=5, devices=2, **play)
    assert len(set(alone.returns.ravel())) > 5
    jax.tree.map(np.testing.assert_array_equal, alone, spread)
    with pytest.raises(ConfigError, match="devices = 3"):
        jrl.evaluate(run.agent, run.state, episodes=5, devices=3, **play)


@pytest.mark.parametrize(
    ("members", "devices", "threads", "cores", "advice"),
    [
        (8, 1, None, 4, r"one of 4 CPU cores: call jaxrl_suite\.use_cores\(\)"),
        (2, 1, None, 4, r"use_cores\(2\)"),
        (1, 4, None, 4, r"one member over 4 threads.*use_cores\(1\)"),
        (1, 1, "1", 4, None),
        (8, 1, "1", 4, None),
        (8, 4, None, 4, None),
        (8, 1, None, 1, None),
    ],
)
def test_idle_cores_and_needless_threads_are_noticed(monkeypatch, members, devices, threads, cores, advice):
    from jaxrl_suite.training import placement

    monkeypatch.setattr(placement.jax, "local_device_count", lambda: devices)
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.delenv("NPROC")
    if threads:
        monkeypatch.setenv("NPROC", threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        placement.notice_idle_cores(members)
    assert len(caught) == (advice is not None)
    if advice:
        assert re.search(advice, str(caught[0].message))


@pytest.mark.parametrize("count", [1, 2])
def test_use_cores_gives_each_device_one_thread(count):
    program = f"""
import jaxrl_suite as jrl, jax, pathlib
jrl.use_cores({count})
jax.block_until_ready(jax.jit(lambda x: x + 1)(jax.numpy.ones(3)))
names = [task.joinpath("comm").read_text().strip() for task in pathlib.Path("/proc/self/task").iterdir()]
print(jax.device_count(), sum(name.startswith("tf_XLAEigen") for name in names))
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "NPROC")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(count), str(count)]


@pytest.mark.parametrize("count", [0, -1])
def test_use_cores_refuses_none_and_late_calls(count):
    with pytest.raises(ConfigError, match=f"count = {count}: must be >= 1"):
        jrl.use_cores(count)
    with pytest.raises(ConfigError, match="before JAX runs anything"):
        jrl.use_cores(1)


@pytest.mark.parametrize("settings", [{}, {"can_finish": True, "finish_at": 2.0, "noise": 0.0}])
def test_stepping_on_the_host_gives_the_compiled_runs_numbers(settings):
    agent = toy_agent(**settings)
    hosted = agent._replace(info=dataclasses.replace(agent.info, host_stepped=True))
    compiled, stepped = jrl.train(agent, seeds=2), jrl.train(hosted, seeds=2, chunk=7)
    assert compiled.updates[-1] == stepped.updates[-1]
    for name, values in compiled.metrics.items():
        np.testing.assert_allclose(stepped.metrics[name], values, rtol=1e-5)
    with pytest.raises(ConfigError, match="record_every = 2"):
        jrl.train(hosted, seeds=1, record_every=2)
