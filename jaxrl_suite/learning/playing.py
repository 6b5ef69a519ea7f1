"""Playing games on from given states: of rollouts and beliefs that follow a policy.

All is for one batch of games of one environment in self-play (`env.turns`); states and flags have a leading axis [B].
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxrl_suite.sampling import sample_index
from jaxrl_suite.selection import select

Policy = Callable[[Any, Any], tuple[jax.Array, Any]]
"""Of a memory, what the players remember (`()`: nothing), and an observation: (probabilities [A], memory)."""


class Games(NamedTuple):
    """state: of each game, [B, ...]. is_over: bool [B]. reward: float32 [B], player 0's so far. memory: what the policy
    that plays in it remembers of it, [B, ...]."""

    state: Any
    is_over: jax.Array
    reward: jax.Array
    memory: Any = ()


def games_at(states: Any, memory: Any = ()) -> Games:
    """Games that are not over, at `states` [B, ...]."""
    zeros = jnp.zeros(jax.tree.leaves(states)[0].shape[:1])
    return Games(states, zeros > 0, zeros, memory)


def repeated(tree: Any, count: int) -> Any:
    """[count, ...], all alike."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), tree)


def started(env: Any, env_params: Any, keys: jax.Array, memory: Any = ()) -> Games:
    """New games, one a key; memory: at the start of one."""
    return games_at(jax.vmap(env.reset, (0, None))(keys, env_params)[1], repeated(memory, len(keys)))


def observed(env: Any, env_params: Any, games: Games) -> Any:
    """What the player whose turn it is sees, [B, ...]."""
    return jax.vmap(env.turns.observe, (0, None))(games.state, env_params)


def stepped(env: Any, env_params: Any, key: jax.Array, games: Games, action: jax.Array, policy: Policy) -> Games:
    """One decision further in the games that are not over, all with one key: what chance brings is common to all.

    Args:
        action: int32 [B], whoever's turn it is takes. policy: remembers what was seen then.
    """

    def one(game: Games, action: jax.Array) -> Games:
        memory = game.memory
        if jax.tree.leaves(memory):
            memory = policy(memory, env.turns.observe(game.state, env_params))[1]
        return _after(env, env_params, key, game, action, memory)

    return select(games.is_over, games, jax.vmap(one)(games, action))


def _after(env: Any, env_params: Any, key: jax.Array, game: Games, action: jax.Array, memory: Any) -> Games:
    """One decision further in one game."""
    _, state, reward, terminated, truncated = env.transition(key, game.state, action, env_params)
    return Games(state, terminated | truncated, game.reward + reward, memory)


def played_on(
    env: Any,
    env_params: Any,
    key: jax.Array,
    games: Games,
    policy: Policy,
    waits: Callable[[Any], jax.Array] | None = None,
    greedy: bool = False,
) -> Games:
    """The games when they are over, or when they wait.

    All games share their random numbers, decision by decision. Under `vmap` all batches are played as one long one:
    loops over many games are faster than loops over many handfuls of actions.

    Args:
        policy: of whoever's turn it is. waits: (observation) -> bool, not to be played on; None: none is.
        greedy: the most likely action instead of a drawn one.
    """

    def is_done(game: Games) -> jax.Array:
        return game.is_over if waits is None else game.is_over | waits(env.turns.observe(game.state, env_params))

    def decide(uniform: jax.Array, key: jax.Array, game: Games) -> tuple[Games, jax.Array]:
        """One decision in one game, and whether it is done then."""
        # Seen anew, not carried along: what the policy does not look at is then not computed at all.
        probabilities, memory = policy(game.memory, env.turns.observe(game.state, env_params))
        action = jnp.argmax(probabilities).astype(jnp.int32) if greedy else sample_index(probabilities, uniform)
        # Else every part of the next state would draw for itself.
        after = _after(env, env_params, key, game, jax.lax.optimization_barrier(action), memory)
        return after, is_done(after)

    one = jax.tree.map(lambda x: x[0], games)
    closed = jax.make_jaxpr(decide)(jnp.zeros(()), key, one)
    return _play(closed.jaxpr)(closed.consts, key[None], games, jax.vmap(is_done)(games))


def _play(decide: Any) -> Callable[..., Games]:
    """(constants of `decide`, keys [K], games [K B], which are done [K B]) -> the games when all are done."""

    def run(consts: list[Any], keys: jax.Array, games: Games, done: jax.Array) -> Games:
        each, structure = len(done) // len(keys), jax.tree.structure((games, done))
        decide_all = jax.vmap(lambda *leaves: jaxpr_as_fun(ClosedJaxpr(decide, consts))(*leaves))

        def one_decision(carry: tuple[jax.Array, Games, jax.Array]) -> tuple[jax.Array, Games, jax.Array]:
            count, games, done = carry
            now = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, count)))(keys)
            uniform = jnp.repeat(jax.vmap(jax.random.uniform)(now[:, 0]), each)
            leaves = decide_all(uniform, jnp.repeat(now[:, 1], each), *jax.tree.leaves(games))
            after, is_done = jax.tree.unflatten(structure, leaves)
            return count + 1, select(done, games, after), done | is_done

        carry = (jnp.int32(0), games, done)
        return jax.lax.while_loop(lambda carry: ~jnp.all(carry[2]), one_decision, carry)[1]

    marked = jax.custom_batching.custom_vmap(run)

    @marked.def_vmap
    def batched(axis_size: int, in_batched: Any, consts: Any, keys: Any, games: Any, done: Any) -> tuple[Any, Any]:
        everything, is_batched = (keys, games, done), jax.tree.map(lambda _: True, games)
        if any(in_batched[0]):
            axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(in_batched))
            return jax.vmap(run, axes)(consts, *everything), is_batched
        flat = jax.tree.map(functools.partial(_flat, axis_size), everything, tuple(in_batched[1:]))
        played = marked(consts, *flat)
        return jax.tree.map(lambda x: x.reshape(axis_size, -1, *x.shape[1:]), played), is_batched

    return marked


def _flat(axis_size: int, leaf: jax.Array, is_batched: bool) -> jax.Array:
    """[n, B, ...] as [n B, ...]; what is not batched is repeated."""
    leaf = leaf if is_batched else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))
    return leaf.reshape(-1, *leaf.shape[2:])
