"""The benchmark's own arithmetic and protocol; no peer is needed and nothing is trained."""

import dataclasses
import importlib.metadata
import json
import math
import sys
import textwrap
from pathlib import Path

import pytest

from jaxrl_suite.errors import ConfigError, JaxrlError
from tests.helpers import load_benchmark as load

ppo = load("ppo_throughput")
dqn = load("dqn_throughput")
driver = load("side_by_side")
comparison = load("comparison")
environments = load("peer_environments")
floor = load("ppo_floor")
dqn_floor = load("dqn_floor")
sac_floor = load("sac_floor")
pqn_floor = load("pqn_floor")
workers = load("worker_common")


def row(contestant, pair, run_seconds, returns, members=2):
    return {
        "contestant": contestant,
        "pair": pair,
        "members": members,
        "devices": 1,
        "env_steps": 1000,
        "compile_seconds": 1.0,
        "run_seconds": run_seconds,
        "peak_rss_bytes": 2**20,
        "final_returns": returns,
    }


def test_ratio_is_the_median_over_pairs_and_above_one_when_we_are_faster():
    seconds = [(1.0, 2.0), (1.0, 3.0), (2.0, 20.0)]
    rows = []
    for pair, (ours, theirs) in enumerate(seconds):
        rows += [row("ours", pair, ours, [490.0, 492.0]), row("peer", pair, theirs, [491.0, 493.0])]
    ours, peer = comparison.summarise(rows)
    assert peer["ratio"] == {"median": 3.0, "min": 2.0, "max": 10.0}
    assert "ratio" not in ours
    assert ours["steps_per_second"]["median"] == 1000.0
    assert peer["verdict"] == "equal"


def test_a_peer_is_compared_on_the_score_it_has():
    ours, peer = row("ours", 0, 1.0, [100.0, 110.0]), row("peer", 0, 1.0, [])
    ours["evaluated_returns"], peer["evaluated_returns"] = [500.0, 500.0], [499.0, 501.0]
    summary = comparison.summarise([ours, peer])[1]
    assert summary["score"] == "evaluated_returns"
    assert summary["difference_of_returns"][0] == pytest.approx(0.0)


def test_intervals_are_students_and_welchs():
    # Mean 2, deviation 1, three values: half width 4.302653 / sqrt(3).
    assert comparison.mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - 2.484138, 2 + 2.484138), abs=1e-5)
    # Equal sizes and variances: Welch's degrees of freedom are those of Student, 4.
    difference = comparison.difference_interval([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    half = 2.776445 * math.sqrt(2 / 3)
    assert difference == pytest.approx((-1.0, -1 - half, -1 + half), abs=1e-5)
    assert all(math.isnan(bound) for bound in comparison.mean_interval([5.0])[1:])


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.0, -5.0, 5.0), "equal"),
        ((40.0, 30.0, 50.0), "different"),
        ((-40.0, -50.0, -30.0), "different"),
        ((20.0, 10.0, 30.0), "inconclusive"),
        ((0.0, math.nan, math.nan), "inconclusive"),
    ],
)
def test_verdict(interval, expected):
    assert comparison.verdict(interval) == expected


def test_floor_counts_every_matrix_product():
    # Multiply-adds: actor 4*64 + 64*64 + 64*2, critic 4*64 + 64*64 + 64*1.
    forward = 2 * (256 + 4096 + 128 + 256 + 4096 + 64)
    assert floor.forward_operations() == forward
    assert floor.backward_operations() == 2 * forward - 2 * (256 + 256)
    assert floor.operations_per_env_step() == forward + 4 * (forward + floor.backward_operations())
    assert floor.num_parameters() == (320 + 4160 + 130) + (320 + 4160 + 65)
    assert floor.optimizer_bytes_per_env_step() == pytest.approx(9155 * 4 * 7 / 32)


def test_floor_of_dqn_counts_a_gradient_step():
    """Multiply-adds: 4*64 + 64*64 + 64*2, two operations each; the first layer needs no gradient of its inputs."""
    forward = 2 * (256 + 4096 + 128)
    assert dqn_floor.operations_per_gradient_step() == 32 * (2 * forward + 2 * forward - 2 * 256)
    assert dqn_floor.operations_per_env_step() == forward + dqn_floor.operations_per_gradient_step() / 4
    assert dqn_floor.optimizer_bytes_per_env_step() == (320 + 4160 + 130) * 4 * 7 / 4


def test_floor_of_sac_counts_every_pass():
    """Multiply-adds: actor 3*64 + 64*64 + 64*2, two critics of 4*64 + 64*64 + 64*1."""
    act, judge = 2 * (192 + 4096 + 128), 2 * 2 * (256 + 4096 + 64)
    critics, actor = judge + (2 * judge - 2 * 2 * 256), act + (2 * act - 2 * 192) + 2 * judge
    assert sac_floor.operations_per_env_step() == act + 256 * (act + judge + critics + actor + act)
    assert sac_floor.optimizer_bytes_per_env_step() == ((256 + 4160 + 130) + 2 * (320 + 4160 + 65)) * 4 * 7


def test_floor_of_pqn_counts_four_epochs():
    """Multiply-adds: 4*256 + 256*256 + 256*2; every step is acted on and bootstrapped from once."""
    forward = 2 * (1024 + 65536 + 512)
    backward = 2 * forward - 2 * 1024
    assert pqn_floor.operations_per_env_step() == 2 * forward + 4 * (forward + backward)
    assert pqn_floor.optimizer_bytes_per_env_step() == pytest.approx((1280 + 65792 + 514) * 4 * 7 / 32)


def test_both_on_one_device_are_paired():
    rows = []
    for pair, (ours, theirs) in enumerate([(1.0, 2.0), (1.0, 5.0), (2.0, 6.0)]):
        rows += [row("ours", pair, 0.1, []), row(driver.PLAIN, pair, ours, []), row("rejax", pair, theirs, [])]
    assert comparison.ratio_between(rows, 2, driver.PLAIN, "rejax") == {"median": 3.0, "min": 2.0, "max": 5.0}
    assert driver.one_device_lines(rows, (2, 8)) == ["2 members, one device each: ours / rejax 3.00 (2.00-5.00)"]


def test_contestants_are_told_their_algorithm(monkeypatch):
    """Ours on all devices and on one, the peer with its own setting and with ours."""
    monkeypatch.setattr(driver.peer_environments, "python_of", lambda peer, root: Path("python"))
    options = dqn.Options(devices=2, plain=True)
    field = driver.contestants_of("dqn", {"rejax": ("--own",)}, options, ("--buffer-size", "50"))
    names = [(who.name, who.devices, who.like_ours) for who in field]
    both = [("ours", 2, True), (driver.PLAIN, 1, False), ("rejax", 1, False), ("rejax, cores as ours", 2, True)]
    assert names == both
    common = ("--algorithm", "dqn", "--buffer-size", "50")
    assert [who.arguments for who in field] == [common, common, (*common, "--own"), (*common, "--own")]
    assert ppo.peers_of(ppo.Options()) == {"rejax": ()}


@pytest.mark.parametrize("algorithm", list(workers.SETTINGS))
def test_settings_are_fields_of_the_config(algorithm):
    """A worker passes them on by name; steps an update are what the agent says."""
    import jaxrl_suite as jrl

    factory = jrl.agents.agent_named(algorithm)
    agent = factory(*jrl.make(workers.ENV_IDS[algorithm]), factory.config_class(**workers.SETTINGS[algorithm]))
    assert agent.info.env_steps_per_update == workers.ENV_STEPS_PER_UPDATE[algorithm]


@pytest.mark.parametrize("peer", ["rejax", "purejaxrl"])
def test_pins_are_exact_and_on_our_jax(peer):
    pins = environments.PINS / f"{peer}.txt"
    environments.check_same_jax(pins)
    lines = [line for line in pins.read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    assert "gymnax==0.0.9" in lines


def test_pins_of_another_jax_are_an_error(tmp_path):
    pins = tmp_path / "peer.txt"
    pins.write_text("jax==0.1.2\n")
    with pytest.raises(ConfigError, match=r"peer\.txt: must pin jax=="):
        environments.check_same_jax(pins)


def test_a_changed_checkout_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"has no purejaxrl/ppo\.py"):
        environments.check_purejaxrl(tmp_path)
    (tmp_path / "purejaxrl").mkdir()
    (tmp_path / "purejaxrl" / "ppo.py").write_text("changed")
    with pytest.raises(ConfigError, match="is not that of commit"):
        environments.check_purejaxrl(tmp_path)


def contestant(folder, body, name="ours"):
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(body))
    return driver.Contestant(name, str(script), Path(sys.executable), 2)


def test_worker_gets_its_settings_and_a_clean_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_something")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "7")
    monkeypatch.setenv("NPROC", "7")
    jax_version = importlib.metadata.version("jax")
    worker = contestant(
        tmp_path,
        f"""
        import json, os, sys
        flags = [name for name in os.environ if name.startswith(("XLA_", "JAX_NUM", "NPROC"))]
        print("noise")
        print(json.dumps({{"jax": "{jax_version}", "arguments": sys.argv[1:], "flags": flags}}))
        """,
    )
    measured = driver.measure(worker, members=4, pair=3, options=driver.Options(updates=5))
    settings = dict(zip(measured["arguments"][::2], measured["arguments"][1::2], strict=True))
    assert settings == {"--members": "4", "--updates": "5", "--seed-start": "12", "--devices": "2"}
    assert measured["flags"] == []
    assert (measured["contestant"], measured["pair"]) == ("ours", 3)
    odd = driver.measure(worker, members=1, pair=0, options=driver.Options(updates=5))
    assert odd["arguments"][-2:] == ["--devices", "1"]
    like_ours = dataclasses.replace(worker, like_ours=True)
    threads = driver.measure(like_ours, members=1, pair=0, options=driver.Options(updates=5))
    assert threads["arguments"][-4:] == ["--devices", "1", "--threads", "1"]


def test_another_jax_a_crash_and_a_stuck_worker_are_errors(tmp_path):
    options = driver.Options(timeout=0.5)
    other = contestant(tmp_path, """print('{"jax": "0.1.2"}')""")
    with pytest.raises(JaxrlError, match=r"ran on jax 0\.1\.2"):
        driver.measure(other, 1, 0, driver.Options())
    crash = contestant(tmp_path, "raise RuntimeError('out of luck')")
    with pytest.raises(JaxrlError, match="RuntimeError: out of luck"):
        driver.measure(crash, 1, 0, driver.Options())
    stuck = contestant(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(JaxrlError, match=r"still running after 0\.5 s"):
        driver.measure(stuck, 1, 0, options)


def test_contestants_alternate_and_the_file_holds_all(tmp_path, monkeypatch):
    order = []

    def fake(who, members, pair, options):
        order.append((members, pair, who.name))
        return row(who.name, pair, 1.0 if who.name == "ours" else 4.0, [500.0] * members, members)

    three = [driver.Contestant(n, "-", Path("-"), d) for n, d in (("ours", 2), ("peer", 1), ("peer, cores as ours", 2))]
    monkeypatch.setattr(driver, "measure", fake)
    monkeypatch.setattr(driver, "run_json", lambda command, timeout: {"floor": "measured"})
    options = driver.Options(members=(1, 2), pairs=2, out=tmp_path / "results" / "a.json")
    result = driver.run(driver.Benchmark("dqn", "-", {}, ("rejax",)), three, options)
    for count in options.members:
        assert [name for members, _, name in order if members == count] == ["ours", "peer", "peer, cores as ours"] * 2
    saved = json.loads(options.out.read_text())
    assert saved["rows"] == result["rows"]
    assert len(saved["rows"]) == len(order)
    assert saved["provenance"]["versions"]["jax"] == importlib.metadata.version("jax")
    assert [s["ratio"]["median"] for s in saved["summary"] if s["contestant"] == "peer"] == [4.0, 4.0]


@pytest.mark.parametrize("benchmark", [ppo, dqn], ids=["ppo", "dqn"])
def test_bad_options_are_one_line_and_status_two(benchmark, capsys):
    assert benchmark.main(["--pairs", "0"]) == 2
    assert "pairs = 0: must be >= 1" in capsys.readouterr().err


def test_a_buffer_smaller_than_a_minibatch_is_an_error(capsys):
    assert dqn.main(["--buffer-size", "8"]) == 2
    assert "buffer_size = 8: must be >= 32" in capsys.readouterr().err
