"""Robust dynamic programming, float64: what is the best, or a policy worth, against the worst kernels of a set.

V(s) = max_a min_p E_p [r + gamma V(s')], a contraction (Iyengar 2005, theorem 3.2). Without a horizon a stationary
policy's worst kernel is stationary too (lemma 3.3 there), and the optimum is min over kernels of the ordinary optimum
(Wiesemann et al. 2013): the worst kernel is returned at every state and action, also where the policy never goes. With
a horizon arrays have a leading axis of stages, and nature chooses anew at each.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import exact
from jaxrl_suite.solvers.dynamic_programming import ROUNDING, check_policy, probabilities
from jaxrl_suite.solvers.robust_sets import Backup

SETTLED = 64 * ROUNDING
"""Relative change up to which two values are the same: inner problems round more than a sum does."""


class RobustSolution(NamedTuple):
    """A best policy against the worst kernels, float64; [H, ...] with a horizon, without that axis where discounted.

    value: [S]. action_value: under the worst rows, [S, A]. policy: int32 [S], the lowest best action; probabilities
    [S, A] where the set is s-rectangular. kernel: the worst rows, [S, A, S]. start_value: of the initial distribution.
    error_bound: the most that `value` may be off anywhere, but for rounding; 0 with a horizon. iterations: sweeps over
    all states (value iteration), or policies evaluated (policy iteration).
    """

    value: Any
    action_value: Any
    policy: Any
    kernel: Any
    start_value: Any
    error_bound: Any
    iterations: Any


class RobustEvaluation(NamedTuple):
    """A policy's values against the worst kernels, as in `RobustSolution`. iterations: kernels tried."""

    value: Any
    action_value: Any
    kernel: Any
    start_value: Any
    error_bound: Any
    iterations: Any


def robust_value_iteration(
    mdp: Any, uncertainty: Any, tolerance: float = 1e-12, max_iterations: int = 1_000_000
) -> RobustSolution:
    """The robust optimum: by backward induction with a horizon, by iterating the robust Bellman operator without.

    Args:
        mdp: a `TabularMDP`, or anything with its fields; where its `pays_on_arrival`, rewards are r(s,a,s'), [S, A, S].
        uncertainty: a set of `jaxrl_suite.solvers`: FiniteKernels, L1Ball, Interval, Box, KLBall, ChiSquareBall,
            Contamination, StateL1Ball.
        tolerance: without a horizon, stops once `error_bound` is at most this, or at rounding.
        max_iterations: without a horizon, the most sweeps; `error_bound` tells how far they got.

    Raises:
        ConfigError: for a set that is empty, or does not fit the MDP; for narrower floats inside a jit or vmap.
    """
    _check(mdp, uncertainty)
    return _value_iteration(mdp, uncertainty, tolerance, max_iterations)


def robust_policy_iteration(mdp: Any, uncertainty: Any, max_iterations: int = 1000) -> RobustSolution:
    """The robust optimum by evaluating a policy against its worst kernel and improving it, until rounding.

    Raises:
        ConfigError: as `robust_value_iteration`.
    """
    _check(mdp, uncertainty)
    return _policy_iteration(mdp, uncertainty, max_iterations)


def robust_policy_evaluation(mdp: Any, uncertainty: Any, policy: Any, max_iterations: int = 1000) -> RobustEvaluation:
    """What a policy is worth against its worst kernel.

    Without a horizon by policy iteration of nature: the values of a kernel are solved for, and the worst rows at them
    make the next kernel. Values fall from kernel to kernel, as Newton's method does for what is not linear.

    Args:
        policy: as in `policy_evaluation`.

    Raises:
        ConfigError: as `robust_value_iteration`, and for a policy of another shape.
    """
    _check(mdp, uncertainty)
    check_policy(mdp, policy)
    return _policy_evaluation(mdp, uncertainty, policy, max_iterations)


@exact
def _value_iteration(mdp: Any, uncertainty: Any, tolerance: Any, max_iterations: Any) -> RobustSolution:
    if mdp.horizon is not None:
        return _solution(mdp, _backward(mdp, uncertainty, None), 0.0, mdp.horizon)
    contraction = mdp.discount / (1.0 - mdp.discount)
    prepared = uncertainty.prepare(mdp.transitions)

    def is_far(loop: Any) -> jax.Array:
        value, change, count = loop
        rounding = SETTLED * jnp.max(jnp.abs(value)) * jnp.maximum(contraction, 1.0)
        far = contraction * change > jnp.maximum(tolerance, rounding)
        # The first change is infinite, and without discounting at all (discount 0) nothing times that is NaN.
        return (far | (count == 0)) & (count < max_iterations)

    def sweep(loop: Any) -> Any:
        value, _, count = loop
        new = uncertainty.sweep(prepared, mdp.rewards, mdp.discount, value)
        return new, jnp.max(jnp.abs(new - value)), count + 1

    first = jnp.zeros(mdp.num_states), jnp.asarray(jnp.inf), jnp.zeros((), jnp.int32)
    value, change, count = jax.lax.while_loop(is_far, sweep, first)
    found = _best(mdp, uncertainty, value)._replace(value=value)
    return _solution(mdp, found, contraction * change, count)


@exact
def _policy_iteration(mdp: Any, uncertainty: Any, max_iterations: Any) -> RobustSolution:
    if mdp.horizon is not None:
        return _solution(mdp, _backward(mdp, uncertainty, None), 0.0, mdp.horizon)

    # Inner problems take long to compile: each loop has its own only once, and starts from nothing.
    def improve(loop: Any) -> Any:
        policy, _, _, _, count = loop
        value, _, _ = _settle(mdp, uncertainty, _as_probabilities(mdp, policy), 1000)
        found = _best(mdp, uncertainty, value)
        gain = found.value - value > SETTLED * jnp.maximum(jnp.abs(value), 1.0)
        changes = gain if policy.ndim == 1 else gain[:, None]
        return jnp.where(changes, found.policy, policy), value, found, jnp.any(gain), count + 1

    nothing = jnp.zeros(mdp.num_states)
    found = _empty(lambda: _best(mdp, uncertainty, nothing))
    policy = found.policy if found.policy.ndim == 1 else found.policy + 1.0 / mdp.num_actions
    first = policy, nothing, found, jnp.asarray(True), jnp.zeros((), jnp.int32)
    policy, value, found, _, count = jax.lax.while_loop(lambda x: x[3] & (x[4] < max_iterations), improve, first)
    error = jnp.max(jnp.abs(found.value - value)) / (1.0 - mdp.discount)
    return _solution(mdp, found._replace(value=value, policy=policy), error, count)


@exact
def _policy_evaluation(mdp: Any, uncertainty: Any, policy: Any, max_iterations: Any) -> RobustEvaluation:
    policy = probabilities(mdp, policy)
    if mdp.horizon is not None:
        found, error, count = _backward(mdp, uncertainty, policy), jnp.zeros(()), mdp.horizon
    else:
        value, found, count = _settle(mdp, uncertainty, policy, max_iterations)
        error = jnp.max(jnp.abs(found.value - value)) / (1.0 - mdp.discount)
        found = found._replace(value=value)
    start = _start_value(mdp, found.value)
    return RobustEvaluation(found.value, found.action_value, found.kernel, start, error, count)


def _settle(mdp: Any, uncertainty: Any, policy: Any, max_iterations: Any) -> tuple[jax.Array, Backup, jax.Array]:
    """(value of a policy [S, A] against its worst kernel, one more backup of it, kernels tried)."""

    def values_under(kernel: jax.Array) -> jax.Array:
        paid = jnp.sum(kernel * mdp.rewards, axis=-1) if _pays_on_arrival(mdp) else mdp.rewards
        flow = jnp.einsum("sa,sax->sx", policy, kernel)
        return jnp.linalg.solve(jnp.eye(mdp.num_states) - mdp.discount * flow, jnp.sum(policy * paid, axis=-1))

    def against(value: jax.Array) -> Backup:
        return uncertainty.against(policy, mdp.transitions, mdp.rewards, mdp.discount, value)

    def worsen(loop: Any) -> Any:
        value, found, _, count = loop
        new = values_under(jnp.where(count == 0, mdp.transitions, found.kernel))
        drop = jnp.max(jnp.abs(new - value))
        return new, against(new), drop > SETTLED * jnp.maximum(jnp.max(jnp.abs(new)), 1.0), count + 1

    unknown = jnp.full(mdp.num_states, jnp.inf)
    first = unknown, _empty(lambda: against(unknown)), jnp.asarray(True), jnp.zeros((), jnp.int32)
    value, found, _, count = jax.lax.while_loop(lambda loop: loop[2] & (loop[3] < max_iterations), worsen, first)
    return value, found, count


def _empty(function: Any) -> Any:
    """Zeros of the shapes that `function()` returns."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function))


def _best(mdp: Any, uncertainty: Any, following: jax.Array) -> Backup:
    return uncertainty.best(mdp.transitions, mdp.rewards, mdp.discount, following)


def _backward(mdp: Any, uncertainty: Any, policy: jax.Array | None) -> Backup:
    """The backups of all stages, [H, ...], of a policy [H, S, A], or of the best one if None."""
    pairs = (mdp.horizon, mdp.num_states, mdp.num_actions)
    of_next = (mdp.num_states,)
    transitions = jnp.broadcast_to(mdp.transitions, pairs + of_next)
    rewards = jnp.broadcast_to(mdp.rewards, pairs + of_next if _pays_on_arrival(mdp) else pairs)

    def backup(following: jax.Array, stage: Any) -> tuple[jax.Array, Backup]:
        rows, paid, policy_here = stage
        if policy is None:
            found = uncertainty.best(rows, paid, mdp.discount, following)
        else:
            found = uncertainty.against(policy_here, rows, paid, mdp.discount, following)
        return found.value, found

    stages = (transitions, rewards, transitions[..., 0] if policy is None else policy)
    return jax.lax.scan(backup, jnp.zeros(mdp.num_states, transitions.dtype), stages, reverse=True)[1]


def _pays_on_arrival(mdp: Any) -> bool:
    return bool(getattr(mdp, "pays_on_arrival", False))


def _as_probabilities(mdp: Any, policy: jax.Array) -> jax.Array:
    return jax.nn.one_hot(policy, mdp.num_actions, dtype=mdp.rewards.dtype) if policy.ndim == 1 else policy


def _start_value(mdp: Any, value: jax.Array) -> jax.Array:
    return jnp.sum(mdp.initial * (value if mdp.horizon is None else value[0]))


def _solution(mdp: Any, found: Backup, error_bound: Any, iterations: Any) -> RobustSolution:
    start = _start_value(mdp, found.value)
    fields = found.value, found.action_value, found.policy, found.kernel
    return RobustSolution(*fields, start, jnp.asarray(error_bound), jnp.asarray(iterations))


def _check(mdp: Any, uncertainty: Any) -> None:
    """Raises ConfigError for what is no set, or none of this MDP's, where its numbers are known."""
    if not hasattr(uncertainty, "against"):
        raise ConfigError(f"uncertainty = {type(uncertainty).__name__}: must be a set such as L1Ball(0.1)")
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((mdp, uncertainty))):
        uncertainty.check(mdp)
