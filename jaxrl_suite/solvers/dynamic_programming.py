"""Dynamic programming on tabular MDPs, float64: values, best policies, occupancy measures, with error bounds.

With a horizon H, arrays have a leading axis of stages and one backward pass is exact. Without, values are discounted
and stationary. Bellman's equations: Puterman, Markov Decision Processes, chapters 4 (finite horizon) and 6.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError
from jaxrl_suite.precision import exact

UNROLLED_STAGES = 8
"""Loops over up to so many stages are unrolled: agents are judged in every episode, and a loop costs more than this."""

FEW_STATES = 16
"""Sums over up to so many next states are compiled into what surrounds them; a matrix product is a call of its own."""

ROUNDING = float(np.finfo(np.float64).eps)


class Solution(NamedTuple):
    """An optimal policy and its values, float64; [H, ...] with a horizon, without that axis where discounted.

    value: V*, [H, S] or [S]. action_value: Q*, [H, S, A] or [S, A].
    policy: int32 [H, S] or [S], the lowest best action.
    start_value: of the initial distribution.
    error_bound: the most that `value` may be off anywhere, but for rounding; 0 with a horizon.
    iterations: sweeps over all states (value iteration), or policies evaluated (policy iteration).
    """

    value: Any
    action_value: Any
    policy: Any
    start_value: Any
    error_bound: Any
    iterations: Any


class Evaluation(NamedTuple):
    """A policy's values, float64, as in `Solution`. error_bound: as there, from the residual of the linear solve."""

    value: Any
    action_value: Any
    start_value: Any
    error_bound: Any


@exact
def value_iteration(mdp: Any, tolerance: float = 1e-12, max_iterations: int = 1_000_000) -> Solution:
    """Optimal values: by backward induction with a horizon, by iterating Bellman's optimality operator without.

    Args:
        tolerance: without a horizon, stops once `error_bound` is at most this, or at rounding.
        max_iterations: without a horizon, the most sweeps; `error_bound` tells how far they got.

    Raises:
        ConfigError: for narrower floats inside a caller's jit or vmap.
    """
    if mdp.horizon is not None:
        return _solution(mdp, *_backward(mdp, None), error_bound=0.0, iterations=mdp.horizon)

    contraction = mdp.discount / (1.0 - mdp.discount)

    def is_far(loop: Any) -> jax.Array:
        value, change, count = loop
        rounding = 4 * ROUNDING * jnp.max(jnp.abs(value)) * jnp.maximum(contraction, 1.0)
        return (contraction * change > jnp.maximum(tolerance, rounding)) & (count < max_iterations)

    def sweep(loop: Any) -> Any:
        value, _, count = loop
        new = jnp.max(_action_values(mdp, value), axis=-1)
        return new, jnp.max(jnp.abs(new - value)), count + 1

    first = jnp.zeros(mdp.num_states), jnp.asarray(jnp.inf), jnp.zeros((), jnp.int32)
    # Without discounting at all (discount 0), contraction * inf is NaN: one sweep is exact.
    value, change, count = jax.lax.while_loop(is_far, sweep, sweep(first))
    return _solution(mdp, value, _action_values(mdp, value), contraction * change, count)


@exact
def policy_iteration(mdp: Any, max_iterations: int = 1000) -> Solution:
    """Optimal values by evaluating a policy exactly and improving it, until no action is better by more than rounding.

    Raises:
        ConfigError: as `value_iteration`.
    """

    def evaluate(policy: jax.Array) -> Any:
        return _evaluate(mdp, jax.nn.one_hot(policy, mdp.num_actions, dtype=mdp.rewards.dtype))

    def improve(loop: Any) -> Any:
        policy, _, count = loop
        _, action_value, _ = evaluate(policy)
        best, current = jnp.max(action_value, axis=-1), _chosen(action_value, policy)
        # Between equally good actions rounding would choose anew for ever.
        gain = best - current > 64 * ROUNDING * jnp.maximum(jnp.abs(best), 1.0)
        better = jnp.where(gain, _lowest_best(action_value), policy)
        return better, jnp.any(gain), count + 1

    shape = (mdp.num_states,) if mdp.horizon is None else (mdp.horizon, mdp.num_states)
    first = jnp.zeros(shape, jnp.int32), jnp.asarray(True), jnp.zeros((), jnp.int32)
    policy, _, count = jax.lax.while_loop(lambda loop: loop[1] & (loop[2] < max_iterations), improve, first)
    value, action_value, error = evaluate(policy)
    if mdp.horizon is None:
        residual = jnp.max(jnp.abs(jnp.max(action_value, axis=-1) - value))
        error = error + residual / (1.0 - mdp.discount)
    else:
        stays = jnp.max(action_value, axis=-1) - value
        error = error + jnp.sum(jnp.max(jnp.abs(stays), axis=-1))
    return _solution(mdp, value, action_value, error, count)._replace(policy=policy)


def policy_evaluation(mdp: Any, policy: Any) -> Evaluation:
    """Values of a policy: by backward induction with a horizon, by one linear solve without.

    Args:
        policy: action probabilities, [H, S, A] or [S, A] (the same at every stage), or actions, [H, S] or [S] ints.

    Raises:
        ConfigError: for a policy of another shape, or as `value_iteration`.
    """
    check_policy(mdp, policy)
    return _policy_evaluation(mdp, policy)


@exact
def _policy_evaluation(mdp: Any, policy: Any) -> Evaluation:
    value, action_value, error = _evaluate(mdp, probabilities(mdp, policy))
    return Evaluation(value, action_value, _start_value(mdp, value), error)


def occupancy(mdp: Any, policy: Any) -> Any:
    """How often each state and action is met, discounted, so that the sum of `occupancy * rewards` is the start value.

    Args:
        policy: as in `policy_evaluation`.

    Returns:
        d_h(s,a), float64 [H, S, A], summing to discount^h at stage h; without a horizon [S, A], summing to
        1 / (1 - discount).

    Raises:
        ConfigError: as `policy_evaluation`.
    """
    check_policy(mdp, policy)
    return _occupancy(mdp, policy)


@exact
def _occupancy(mdp: Any, policy: Any) -> Any:
    policy = probabilities(mdp, policy)
    if mdp.horizon is None:
        flow = jnp.einsum("sa,sax->sx", policy, mdp.transitions)
        states = jnp.linalg.solve(jnp.eye(mdp.num_states) - mdp.discount * flow.T, mdp.initial)
        return states[:, None] * policy

    def forward(states: jax.Array, stage: Any) -> tuple[jax.Array, jax.Array]:
        transitions, _, policy_here = stage
        met = states[:, None] * policy_here
        return mdp.discount * jnp.einsum("sa,sax->x", met, transitions), met

    return _scan(mdp, forward, jnp.asarray(mdp.initial), policy)[1]


def probabilities(mdp: Any, policy: Any) -> jax.Array:
    """A policy as action probabilities, [H, S, A] with a horizon, else [S, A]. Raises ConfigError for its shape."""
    policy = jnp.asarray(policy)
    states, actions = mdp.num_states, mdp.num_actions
    if not jnp.issubdtype(policy.dtype, jnp.floating) and policy.shape[-1:] == (states,):
        policy = jax.nn.one_hot(policy, actions, dtype=mdp.rewards.dtype)
    stages = () if mdp.horizon is None else (mdp.horizon,)
    if policy.shape not in ((states, actions), (*stages, states, actions)):
        axes = [*stages, states, actions]
        raise ConfigError(f"policy: shape {policy.shape}: must be {axes} probabilities or {axes[:-1]} whole numbers")
    return jnp.broadcast_to(policy, (*stages, states, actions))


def check_policy(mdp: Any, policy: Any) -> None:
    """Raises ConfigError for what is no policy, where its numbers are known."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((mdp, policy))):
        return
    given = np.asarray(policy)
    if not np.issubdtype(given.dtype, np.floating) and given.shape[-1:] == (mdp.num_states,):
        if given.size and not 0 <= given.min() <= given.max() < mdp.num_actions:
            raise ConfigError(f"policy: actions {given.min()} to {given.max()}: must be 0 to {mdp.num_actions - 1}")
    elif given.shape[-1:] == (mdp.num_actions,):
        check_probabilities(given, "policy")


def check_probabilities(policy: np.ndarray, name: str) -> None:
    """Raises ConfigError for the first row of [H, S, A] or [S, A] that is no distribution over actions."""
    is_good = (policy >= 0).all(axis=-1) & (np.abs(policy.sum(axis=-1) - 1.0) <= 1e-6)
    if not is_good.all():
        first = np.argwhere(~is_good)[0]
        axes = ("stage", "state")[-len(first) :]
        where = ", ".join(f"{axis} {index}" for axis, index in zip(axes, first, strict=True))
        row = np.array2string(policy[tuple(first)], precision=6)
        raise ConfigError(f"{name} at {where} = {row}: must be probabilities that sum to 1")


def _evaluate(mdp: Any, policy: jax.Array) -> tuple[Any, Any, Any]:
    """(value, action_value, error_bound) of action probabilities."""
    if mdp.horizon is not None:
        return *_backward(mdp, policy), jnp.zeros(())
    rewards = jnp.sum(policy * mdp.rewards, axis=-1)
    flow = jnp.einsum("sa,sax->sx", policy, mdp.transitions)
    value = jnp.linalg.solve(jnp.eye(mdp.num_states) - mdp.discount * flow, rewards)
    residual = jnp.max(jnp.abs(rewards + mdp.discount * flow @ value - value))
    return value, _action_values(mdp, value), residual / (1.0 - mdp.discount)


def _backward(mdp: Any, policy: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """(value [H, S], action_value [H, S, A]) of a policy [H, S, A], or of the best one if None."""

    def backup(following: jax.Array, stage: Any) -> tuple[jax.Array, Any]:
        transitions, rewards, policy_here = stage
        action_value = rewards + mdp.discount * _mean(transitions, following)
        best = policy is None
        value = jnp.max(action_value, axis=-1) if best else jnp.sum(policy_here * action_value, axis=-1)
        return value, (value, action_value)

    last = jnp.zeros(mdp.num_states, mdp.rewards.dtype)
    return _scan(mdp, backup, last, policy, reverse=True)[1]


def _scan(mdp: Any, function: Any, carry: Any, policy: Any, reverse: bool = False) -> Any:
    """`lax.scan` of `function(carry, (transitions, rewards, policy))` over stages; what has none is not copied."""
    arrays = {"transitions": (mdp.transitions, 4), "rewards": (mdp.rewards, 3), "policy": (policy, 3)}
    staged = {name: a for name, (a, rank) in arrays.items() if a is not None and jnp.ndim(a) == rank}

    def body(carry: Any, here: Any) -> Any:
        return function(carry, tuple(here.get(name, array) for name, (array, _) in arrays.items()))

    unroll = mdp.horizon <= UNROLLED_STAGES
    return jax.lax.scan(body, carry, staged, length=mdp.horizon, reverse=reverse, unroll=unroll)


def _action_values(mdp: Any, value: jax.Array) -> jax.Array:
    return mdp.rewards + mdp.discount * _mean(mdp.transitions, value)


def _mean(transitions: jax.Array, values: jax.Array) -> jax.Array:
    """Expected `values` [S] of the next state, [S, A]."""
    if len(values) > FEW_STATES:
        return transitions @ values
    return jnp.sum(transitions * values, axis=-1)


def _start_value(mdp: Any, value: jax.Array) -> jax.Array:
    return jnp.sum(mdp.initial * (value if mdp.horizon is None else value[0]))


def _solution(mdp: Any, value: Any, action_value: Any, error_bound: Any, iterations: Any) -> Solution:
    start = _start_value(mdp, value)
    return Solution(value, action_value, _lowest_best(action_value), start, jnp.asarray(error_bound), iterations)


def _lowest_best(action_value: jax.Array) -> jax.Array:
    return jnp.argmax(action_value, axis=-1).astype(jnp.int32)


def _chosen(action_value: jax.Array, policy: jax.Array) -> jax.Array:
    return jnp.take_along_axis(action_value, policy[..., None], axis=-1)[..., 0]
