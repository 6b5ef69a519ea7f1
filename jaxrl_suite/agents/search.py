"""Search at decision time that does what one more update of learning would do: MDS, MMDS, and greedy search.

Sokota et al., The Update-Equivalence Framework for Decision-Time Planning, ICLR 2024 (arXiv 2304.13138), algorithm 1.
At a decision point h of the searching player, with a blueprint policy pi for everybody:
    sample histories from P_pi(. | h);
    for every legal action, the same histories: force it, then all play pi to the end; q^(a) is the mean return;
    play U(pi(h), q^), the local update U: of mirror descent in common-payoff games (MDS), of magnetic mirror descent in
    zero-sum games (MMDS), the best action (Monte Carlo search).
The next decision starts from the blueprint again. An agent that searches is an agent: its state holds the blueprint's,
its memory what each player believes.

Symbols: A actions, N particles, P players; eta step size, alpha temperature.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import ON_ONE_DEVICE, Agent, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable, validate
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.beliefs import Belief, particle_filter
from jaxrl_suite.learning.local_updates import greedy_step, magnetic_step, safe_log
from jaxrl_suite.learning.playing import Games, games_at, played_on, repeated, stepped
from jaxrl_suite.precision import own_arrays


@struct.dataclass
class SearchConfig:
    """Settings of search. Its floats are in the agent's state too, and can differ from member to member there."""

    step_size: float = sweepable(10.0, "of the local update", symbol="eta", low=0)
    temperature: float = sweepable(
        0.0, "pull of a uniform magnet; 0: mirror descent. From a uniform blueprint eta / (1 + eta alpha) alone counts",
        symbol="alpha", low=0,
    )  # fmt: skip
    update: str = static("magnetic", "local update; greedy: the best action", choices=("magnetic", "greedy"))
    num_particles: int = static(10, "histories that are kept", symbol="N", source="the paper, phantom games", low=1)
    num_rollouts: int = static(1, "of each history and action", low=1)
    resample: bool = static(True, "surviving histories are drawn back to N, with replacement, before each search")
    share_randomness: bool = static(True, "rollouts of all actions from one history have the same random numbers")
    greedy_rollouts: bool = static(False, "all play the blueprint's most likely action in rollouts")
    threshold: float = static(
        0.0, "greedy only: the blueprint is left for no less a gain over its most likely action (SPARTA: 0.05)",
        unit="return", low=0,
    )  # fmt: skip


class SearchState(NamedTuple):
    """blueprint: its agent's state. step_size, temperature: float32. belief: a learned belief's parameters, if it is
    one."""

    blueprint: Any
    step_size: jax.Array
    temperature: jax.Array
    belief: Any = ()


class Searched(NamedTuple):
    """What a search found. values: float32 [A], mean returns to the searcher, NaN where illegal, or with no particle
    left. blueprint, policy: [A], before and after the update. num_alive: int32, particles the values are of; they are
    those of `particles`, states of the game [N, ...], where `is_alive`, bool [N]."""

    values: jax.Array
    blueprint: jax.Array
    policy: jax.Array
    num_alive: jax.Array
    particles: Any
    is_alive: jax.Array


class Searcher(NamedTuple):
    """One player's search. start(key, state) -> its memory: its belief's, and what its blueprint remembers of its own
    decisions. look(key, state, memory, observation) -> (Searched, memory). acted(memory, action) -> memory."""

    start: Callable[[jax.Array, SearchState], Any]
    look: Callable[[jax.Array, SearchState, Any, Any], tuple[Searched, Any]]
    acted: Callable[[Any, jax.Array], Any]


MakeBelief = Callable[[Any, Any, int], Belief]
"""(env, env_params, N) -> the belief: `agents.hanabi_beliefs` has some."""


@functools.cache
def search(blueprint: Agent, config: SearchConfig | None = None, belief: MakeBelief | None = None) -> Agent:
    """An agent that searches at each of its decisions; what it updates is its blueprint.

    Args:
        blueprint: an agent in a game (`env.turns`) whose `info.policy` is known.
        belief: makes what each player believes; None: a particle filter, the one for blueprints with memory.

    Raises:
        ConfigError: for another agent, a game that the belief is not for, or a setting out of range.
    """
    return _search(blueprint, SearchConfig() if config is None else config, belief)


def _search(blueprint: Agent, config: SearchConfig, belief: MakeBelief | None) -> Agent:
    mine = searcher(blueprint, config, belief)
    turns, env_params = blueprint.info.env.turns, blueprint.info.env_params

    def update(key: jax.Array, state: SearchState, step: jax.Array) -> tuple[SearchState, Metrics]:
        inner, metrics = blueprint.update(key, state.blueprint, step)
        return state._replace(blueprint=inner), metrics

    def start(key: jax.Array, state: SearchState) -> Any:
        return repeated(mine.start(key, state), len(turns.signs))

    def act(key: jax.Array, state: SearchState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        key_search, key_act = jax.random.split(key)
        player = turns.player(observation, env_params)
        found, own = mine.look(key_search, state, jax.tree.map(lambda x: x[player], memory), observation)
        drawn = jax.random.categorical(key_act, safe_log(found.policy))
        action = (jnp.argmax(found.policy) if greedy else drawn).astype(jnp.int32)
        memory = jax.tree.map(lambda x, new: x.at[player].set(new), memory, mine.acted(own, action))
        return action, memory

    factory = blueprint.info.factory

    def build(env: Any, env_params: Any, inner: Any) -> Agent:
        """The same search from a blueprint of other settings: the runner's way to trace them."""
        return _search(factory(env, env_params, inner), config, belief)

    made = agent_factory(factory.agent_name, factory.config_class, factory.check)(build)  # type: ignore[attr-defined]
    name = f"search({blueprint.info.name})"
    info = dataclasses.replace(blueprint.info, name=name, factory=made, policy=None, finish=None, **ON_ONE_DEVICE)
    return Agent(functools.partial(initial, blueprint, config), update, start, act, info)


def initial(blueprint: Agent, config: SearchConfig, key: jax.Array) -> SearchState:
    """The state before the blueprint has learned anything."""
    return SearchState(blueprint.init(key), jnp.float32(config.step_size), jnp.float32(config.temperature))


def searcher(blueprint: Agent, config: SearchConfig, belief: MakeBelief | None = None) -> Searcher:
    """The search itself, of one player; arguments and errors are those of `search`."""
    validate(config)
    env, policy_of = blueprint.info.env, blueprint.info.policy
    env_params = own_arrays(blueprint.info.env_params)
    if not hasattr(env, "turns"):
        raise ConfigError(f"search: {env.id}: must be a game, with turns")
    if policy_of is None:
        raise ConfigError(f"search: blueprint {blueprint.info.name}: must know its policy (AgentInfo.policy)")
    make = functools.partial(particle_filter, resample=config.resample) if belief is None else belief
    believed = make(env, env_params, config.num_particles)

    def start(key: jax.Array, state: SearchState) -> Any:
        remembered = blueprint.start(key, state.blueprint)
        return believed.start(remembered), remembered

    # Early: a belief may refuse what the blueprint remembers.
    jax.eval_shape(lambda key: start(key, initial(blueprint, config, key)), jax.random.key(0))

    def look(key: jax.Array, state: SearchState, memory: Any, observation: Any) -> tuple[Searched, Any]:
        key_belief, key_rollouts = jax.random.split(key)
        policy = functools.partial(policy_of, state.blueprint)
        belief, remembered = memory
        belief, particles, is_alive = believed.update(key_belief, state.belief, belief, observation, policy)
        legal = env.turns.legal(observation, env_params)
        values = action_values(key_rollouts, particles, is_alive, policy)
        sign = jnp.asarray(env.turns.signs, jnp.float32)[env.turns.player(observation, env_params)]
        values = jnp.where(legal, sign * values, jnp.nan)
        before, remembered = policy(remembered, observation)
        before = before.astype(jnp.float32)
        after = jnp.exp(revised(state, before, jnp.where(jnp.isnan(values), 0.0, values), legal)) * legal
        num_alive = jnp.sum(is_alive)
        after = jnp.where(num_alive > 0, after, before)
        return Searched(values, before, after, num_alive, particles.state, is_alive), (belief, remembered)

    def revised(state: SearchState, before: jax.Array, q: jax.Array, legal: jax.Array) -> jax.Array:
        """The local update U(pi, q), as logarithms [A]."""
        support = legal & (before > 0)
        if config.update == "magnetic":
            return magnetic_step(safe_log(before), q, state.step_size, state.temperature, None, support)
        gain = jnp.max(jnp.where(support, q, -jnp.inf)) - q[jnp.argmax(before)]
        return jnp.where(gain >= config.threshold, greedy_step(safe_log(before), q, support), safe_log(before))

    def action_values(key: jax.Array, particles: Games, is_alive: jax.Array, policy: Any) -> jax.Array:
        """[A], player 0's mean return after each action, over particles and rollouts; NaN with no particle left."""
        count, num_actions = is_alive.shape[0], int(env.action_space(env_params).n)
        actions = jnp.arange(num_actions, dtype=jnp.int32)

        def rollouts(key: jax.Array, particle: Games, actions: jax.Array) -> jax.Array:
            """From one history a rollout of each of [B] actions, all with the same random numbers."""
            key_step, key_play = jax.random.split(key)
            games = games_at(*repeated((particle.state, particle.memory), len(actions)))
            games = stepped(env, env_params, key_step, games, actions, policy)
            return played_on(env, env_params, key_play, games, policy, greedy=config.greedy_rollouts).reward

        def one(key: jax.Array, particle: Games) -> jax.Array:
            if config.share_randomness:
                return rollouts(key, particle, actions)
            keys = jax.random.split(key, num_actions)
            return jax.vmap(rollouts, (0, None, 0))(keys, particle, actions[:, None])[:, 0]

        keys = jax.random.split(key, (count, config.num_rollouts))
        returns = jax.vmap(jax.vmap(one, (0, None)))(keys, particles)
        weight = is_alive.astype(returns.dtype)
        return weight @ jnp.mean(returns, axis=1) / jnp.sum(weight)

    def acted(memory: Any, action: jax.Array) -> Any:
        belief, remembered = memory
        return believed.acted(belief, action), remembered

    return Searcher(start, look, acted)
