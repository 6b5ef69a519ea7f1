"""IWOCS through the public surface: training, playing, and what is refused."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxrl_suite as jrl
from jaxrl_suite.agents.iwocs import BALLS, CERTIFIED, RUNNING, IWOCSConfig, iwocs
from jaxrl_suite.envs import KernelEnv
from jaxrl_suite.envs.robust_tabular import random_kernels
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers import policy_evaluation, robust_value_iteration


def agent_in(id, config=None, **options):
    env, mdp = jrl.make(id, **options)
    return iwocs(env, mdp, IWOCSConfig(**(config or {})))


def test_a_run_ends_with_its_certificate_and_plays_the_robust_policy():
    agent = agent_in("robust/windy-walk")
    trained = jrl.train(agent, seeds=2, quick_compile=True)
    assert trained.metrics["finished"][:, -1].all()
    assert trained.metrics["status"][0, -1] == CERTIFIED
    assert trained.updates[-1] < 25
    env, mdp = jrl.make("robust/windy-walk")
    mdp = mdp.replace(active=24)
    where = {"env": env, "env_params": mdp, "max_steps": 500}
    played = jrl.evaluate(agent, trained.state, seeds=[0, 1], episodes=300, **where)
    # Without discounting a walk lasts as many steps as it costs.
    policy = trained.state.policy[0]
    kernel = mdp.kernels[24][np.arange(36), policy]
    left = np.flatnonzero(mdp.rewards[:, 0])
    steps = np.linalg.solve(np.eye(len(left)) - kernel[np.ix_(left, left)], np.ones(len(left)))
    assert played.returns.mean() == pytest.approx(
        -steps[0], abs=4 * played.returns.std() / np.sqrt(played.returns.size)
    )


def test_by_rollouts_the_candidate_is_judged_exactly_too():
    config = {"evaluation": "monte_carlo", "rollouts": 50, "gap": 0.5, "solver_tolerance": 1e-3}
    trained = jrl.train(agent_in("robust/windy-walk", config), seeds=4, quick_compile=True)
    lower, worst = trained.metrics["bound/lower"][:, 0], trained.metrics["value/worst"][:, 0]
    assert worst == pytest.approx(np.full(4, -10.294413), abs=1e-6)
    assert len(set(lower.tolist())) == 4
    assert lower == pytest.approx(worst, abs=3.0)


@pytest.mark.parametrize(
    "ball", ["l1", *(pytest.param(name, marks=pytest.mark.slow) for name in BALLS if name != "l1")]
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_in_a_ball_it_ends_with_a_certificate_equal_to_robust_value_iteration(ball, seed):
    mdp = random_kernels(seed, 4, 2, 3)
    with jrl.float64():
        state = outcome(ball)(mdp)
    assert state.status == CERTIFIED
    best = robust_value_iteration(mdp, BALLS[ball](0.2))
    assert state.best == pytest.approx(float(best.start_value), abs=1e-8)
    under = mdp.under(np.asarray(state.worst_kernel))
    assert policy_evaluation(under, np.asarray(state.policy)).start_value == pytest.approx(best.start_value, abs=1e-8)


_outcomes = {}


def outcome(ball):
    """The last state of IWOCS against a ball, as a compiled function of the problem."""
    if ball not in _outcomes:
        # A gap of the last digits: the certificate is the robust value itself.
        env, config = KernelEnv("robust/test", random_kernels()), IWOCSConfig(nature=ball, radius=0.2, gap=1e-9)
        key = jax.random.key(0)

        def run(mdp):
            agent = iwocs(env, mdp, config)
            return jax.lax.while_loop(
                lambda state: state.status == RUNNING, lambda state: agent.update(key, state, 0)[0], agent.init(key)
            )

        _outcomes[ball] = jax.jit(run)
    return _outcomes[ball]


def test_the_gap_can_be_swept():
    env, mdp = jrl.make("robust/random-shared")
    swept = jrl.sweep(iwocs, (env, mdp), IWOCSConfig(), {"gap": [1e-6, 100.0]}, seeds=1, quick_compile=True)
    assert swept.metrics["status"][1, 0, 0] == CERTIFIED


REFUSED = {
    "no list of kernels": ("tabular/chain", {}, r"tabular/chain: must be a list of kernels without a horizon"),
    "no such kernel": ("robust/windy-walk", {"first_kernel": 25}, r"first_kernel = 25: must be <= 24"),
    "rollouts against rows": (
        "robust/bets",
        {"evaluation": "monte_carlo"},
        r"evaluation = 'monte_carlo': must be exact",
    ),
    "rollouts against a ball": ("robust/windy-walk", {"evaluation": "monte_carlo", "nature": "kl"}, r"must be exact"),
    "negative radius": ("robust/windy-walk", {"nature": "l1", "radius": -0.1}, r"radius = -0\.1: must be >= 0"),
    "more than all": ("robust/windy-walk", {"nature": "contamination", "radius": 1.5}, r"radius = 1\.5: must be <= 1"),
    "no iterations": ("robust/windy-walk", {"total_updates": 0}, r"total_updates = 0: must be >= 1"),
    "no such nature": ("robust/windy-walk", {"nature": "kind"}, r"nature = 'kind': must be one of"),
}


@pytest.mark.parametrize(("id", "config", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused(id, config, message):
    with pytest.raises(ConfigError, match=message):
        agent_in(id, config)
