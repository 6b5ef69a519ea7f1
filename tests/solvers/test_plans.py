"""What a plan is worth: backward in time as the package has it, forward in time here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_suite import solvers
from jaxrl_suite.envs import SuccessorMDP
from jaxrl_suite.envs.tabular_families import combination_lock

STATES, ACTIONS, WIDTH, HORIZON = 4, 3, 2, 5


def random_mdp(rng):
    likely = rng.dirichlet(np.ones(WIDTH), size=(STATES, ACTIONS))
    successors = rng.integers(STATES, size=(STATES, ACTIONS, WIDTH))
    return SuccessorMDP(successors, likely, rng.normal(size=(STATES, ACTIONS)), rng.dirichlet(np.ones(STATES)), HORIZON)


def forward_value(mdp, plan, repeat):
    """Expected return from the chance of each state and action executed last, step by step."""
    total, chance = 0.0, {(s, None): p for s, p in enumerate(mdp.initial)}
    for played in plan:
        following = {}
        for (s, last), p in chance.items():
            outcomes = [(played[s], 1.0)] if last is None else [(played[s], 1 - repeat), (last, repeat)]
            for action, q in outcomes:
                total += p * q * mdp.rewards[s, action]
                for after, r in zip(mdp.successors[s, action], mdp.probabilities[s, action], strict=True):
                    key = (int(after), action)
                    following[key] = following.get(key, 0.0) + p * q * r
        chance = following
    return total


@given(seed=st.integers(0, 2**32 - 1), repeat=st.sampled_from([0.0, 0.25, 1.0]))
@settings(max_examples=30, deadline=None)
def test_backward_is_forward(seed, repeat):
    rng = np.random.default_rng(seed)
    mdp, plan = random_mdp(rng), rng.integers(ACTIONS, size=(HORIZON, STATES))
    assert solvers.plan_value(mdp, plan, repeat) == pytest.approx(forward_value(mdp, plan, repeat), abs=1e-12)


def test_the_right_code_opens_a_sticky_lock_as_often_as_no_action_sticks():
    mdp = SuccessorMDP.from_tabular(combination_lock([1, 0, 1]))
    plan = np.zeros((3, mdp.num_states), int)
    # The lock has a state for each stage: open is every other one.
    plan[0], plan[2] = 1, 1
    assert solvers.plan_value(mdp, plan, 0.25) == pytest.approx(0.5625)
    assert solvers.plan_value(mdp, plan) == 1.0
