"""NORA with a finite class of critics: the algorithm in general form, where the confidence set can be listed.

Tan, Fan, Wei, Actor-Critics Can Achieve Optimal Sample Efficiency, ICML 2025 (arXiv 2505.03710), Algorithm 2;
reconstructed as `nora` is, and called that wherever results are shown.

An episode: play the actor, softmax of eta n f; add the episode to the data D; if at some stage the critic explains them
much worse than the best of the class would, L_h(f_h, f_{h+1}) - min_g L_h(g, f_{h+1}) >= c_sw H^2 beta, take the most
optimistic critic whose excess is at most H^2 beta at every stage, and reset the actor to uniform; else take one more
step of mirror ascent. With a greedy actor and a fit in every episode this is GOLF (Jin et al. 2021). All in float64.

  L_h(g, f) = sum over D_h of (g(s,a) - r - max_a' f(s',a'))^2

The guarantee asks for a class that holds Q* and is complete: with f_{h+1}, T_h f_{h+1} is among its members' stages h.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.conservative import act
from jaxrl_suite.agents.conservative_task import counts_shape
from jaxrl_suite.agents.nora import RECONSTRUCTION, check_table, greedy_actor, judge, softmax_actor
from jaxrl_suite.config import array, static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.tabular import add_episode, empirical, episode_uniforms, play_episode, staged
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.solvers.dynamic_programming import value_iteration


@struct.dataclass
class FiniteNORAConfig:
    """Settings of NORA with a finite class. Floats can be swept."""

    critics: Any = array(None, "the class, [K, H, S, A]: K critics f = (f_1, ..., f_H)", symbol="F")
    beta: float = sweepable(
        0.5, "H^2 beta is the excess that the set allows", symbol="beta", source=RECONSTRUCTION, above=0
    )
    switch_factor: float = sweepable(
        5.0, "the critic is replaced at so many times H^2 beta", symbol="c_sw", source="from memory, unverified", low=1
    )
    step_size: float = sweepable(10.0, "of mirror ascent", symbol="eta", source=RECONSTRUCTION, above=0)
    total_updates: int = static(3000, "budget: episodes", symbol="T", unit="episodes", source=RECONSTRUCTION, low=1)
    fits: str = static("rare", "the critic: at a large excess, or in every episode", choices=("rare", "always"))
    actor: str = static(
        "softmax", "mirror ascent, or greedy in the critic, the lowest of tied actions", choices=("softmax", "greedy")
    )


@struct.dataclass
class FiniteNORAState:
    """counts: int32 [H, S, A, S]. member: int32, which critic is f. steps: n, mirror-ascent steps on f, int32.
    best: V*. first_success: as in `nora`."""

    counts: jax.Array
    member: jax.Array
    steps: jax.Array
    best: jax.Array
    first_success: jax.Array


def excess_losses(counts: jax.Array, rewards: jax.Array, critics: jax.Array) -> jax.Array:
    """By how much the best of the class explains the data better than each critic, [K, H], for that critic's targets.

    With y the mean target r + max f_{h+1}(s') of a pair, L_h(g, f_{h+1}) = sum N_h(s,a) (g(s,a) - y(s,a))^2 plus what
    no g changes. Rewards are those of the table, as if without noise.
    """
    visits, model = empirical(counts, rewards.dtype)
    best = jnp.max(critics, axis=-1)
    following = jnp.concatenate([best[:, 1:], jnp.zeros_like(best[:, :1])], axis=1)
    targets = rewards + jnp.einsum("hsax,khx->khsa", model, following)
    losses = jnp.einsum("hsa,gkhsa->gkh", visits, (critics[:, None] - targets) ** 2)
    return jnp.einsum("kkh->kh", losses) - jnp.min(losses, axis=0)


def optimistic_member(excess: jax.Array, critics: jax.Array, initial: jax.Array, allowed: Any) -> jax.Array:
    """argmax f_1(s_1, pi_f(s_1)) over the critics of excess [K, H] at most `allowed` at every stage; int32.

    Where there is none, which a complete class makes unlikely, the one of least excess.
    """
    worst = jnp.max(excess, axis=-1)
    value = jnp.where(worst <= allowed, jnp.max(critics[:, 0], axis=-1) @ initial, -jnp.inf)
    return jnp.where(jnp.any(worst <= allowed), jnp.argmax(value), jnp.argmin(worst)).astype(jnp.int32)


def _check(env: Any, mdp: Any, config: FiniteNORAConfig) -> None:
    check_table(env, mdp)
    shape, expected = np.shape(config.critics), counts_shape(mdp)[:-1]
    if len(shape) != 4 or shape[0] < 1 or shape[1:] != expected:
        raise ConfigError(f"FiniteNORAConfig.critics: shape {shape}: must be [K, {', '.join(map(str, expected))}]")
    if not np.all(np.isfinite(config.critics)):
        raise ConfigError("FiniteNORAConfig.critics: must be finite")


@agent_factory("nora_finite", FiniteNORAConfig, check=_check)
def nora_finite(env: Any, env_params: Any, config: FiniteNORAConfig) -> Agent:
    """NORA on a tabular MDP with a finite class of critics: one update is one episode."""
    mdp, critics = own_arrays((env_params, config.critics))
    allowed = mdp.horizon**2 * config.beta

    def actor(state: FiniteNORAState) -> jax.Array:
        critic = jnp.asarray(critics)[state.member]
        nothing = jnp.zeros_like(critic)
        if config.actor == "greedy":
            return greedy_actor(critic, nothing)
        return softmax_actor(critic, state.steps, nothing, config.step_size)

    def choose(excess: jax.Array) -> jax.Array:
        return optimistic_member(excess, jnp.asarray(critics), jnp.asarray(mdp.initial), allowed)

    def init(key: jax.Array) -> FiniteNORAState:
        none, counts = jnp.zeros((), jnp.int32), jnp.zeros(counts_shape(mdp), jnp.int32)
        member = choose(jnp.zeros(np.shape(critics)[:2]))
        return FiniteNORAState(counts, member, none, value_iteration(mdp).start_value, none)

    def update(key: jax.Array, state: FiniteNORAState, step: jax.Array) -> tuple[FiniteNORAState, Metrics]:
        policy = actor(state)
        episode = play_episode(episode_uniforms(key, mdp), mdp, policy)
        metrics = judge(mdp, state, policy, episode, step)
        counts = add_episode(state.counts, episode)
        excess = excess_losses(counts, staged(mdp)[1], jnp.asarray(critics))
        found = jnp.max(excess[state.member])
        switches = found >= config.switch_factor * allowed if config.fits == "rare" else jnp.asarray(True)
        metrics |= {
            "critic/member": state.member,
            "critic/excess": found,
            "set/size": jnp.sum(jnp.max(excess, axis=-1) <= allowed).astype(jnp.int32),
            "switch/count": switches.astype(jnp.int32),
        }
        member = jnp.where(switches, choose(excess), state.member)
        steps = jnp.where(switches, 0, state.steps + 1).astype(jnp.int32)
        changed = {"counts": counts, "member": member, "steps": steps, "first_success": metrics["first_success"]}
        return dataclasses.replace(state, **changed), metrics

    def start(key: jax.Array, state: FiniteNORAState) -> Any:
        """The stage, and the policy of the whole episode: what the next update would play."""
        return jnp.zeros((), jnp.int32), actor(state)

    steps, total = mdp.horizon, config.total_updates
    info = AgentInfo("nora_finite", env, env_params, config, steps, total, nora_finite, precision="float64")
    return Agent(init, update, start, act, info)
