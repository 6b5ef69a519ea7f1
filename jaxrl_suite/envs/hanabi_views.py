"""What a player sees of a game of Hanabi, read back from its observation. P, C, R, H, K, D, A as in `hanabi_rules`."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.hanabi import KINDS, layout, observation_size
from jaxrl_suite.envs.hanabi_rules import (
    HINT_COLOR,
    HanabiRules,
    HanabiState,
    LastMove,
    move_table,
)


def view_of(rules: HanabiRules, observation: jax.Array, turns_left: Any, stage: Any) -> HanabiState:
    """The game as the player to move sees it.

    Its own cards are card 0, or K where it lacks one, and all of the deck is card 0: `with_hand` fills in both. Bits
    of `marks` that no card can have any more may be missing: nothing that is observed depends on them.

    Args:
        observation: float32 [F + A + 1], `HanabiEnv.observe`'s.
        turns_left, stage: int32, as in `HanabiState`: observations do not show them (see `Watched`).
    """
    see, player = _parts(rules, observation), observation[-1].astype(jnp.int32)
    seats = (player + jnp.arange(rules.players)) % rules.players
    types = np.repeat(np.arange(rules.num_types), rules.full_counts)
    has_last, last_slot = see["lacks"] == 0, np.arange(rules.hand_size) == rules.hand_size - 1
    others = jnp.argmax(see["hands"], axis=-1)
    hands = jnp.concatenate([jnp.zeros((1, rules.hand_size), others.dtype), others])
    has_card = has_last[:, None] | ~last_slot
    hands = jnp.where(has_card, hands, rules.num_types).astype(jnp.int8)
    marks = jnp.where(has_card, _marks(rules, see["knowledge"]), 0).astype(jnp.int16)
    return HanabiState(
        deck=jnp.zeros(rules.num_cards, jnp.int8),
        position=rules.num_cards - _count(see["deck"]),
        hands=jnp.zeros_like(hands).at[seats].set(hands),
        marks=jnp.zeros_like(marks).at[seats].set(marks),
        fireworks=(see["fireworks"] @ jnp.arange(1.0, rules.ranks + 1)).astype(jnp.int8),
        discards=jnp.zeros(rules.num_types, jnp.int8).at[types].add(see["discards"].astype(jnp.int8)),
        hints=_count(see["hints"]),
        lives=_count(see["lives"]),
        player=player,
        turns_left=jnp.asarray(turns_left, jnp.int32),
        stage=jnp.asarray(stage, jnp.int32),
        last=_last_move(rules, see),
    )


def _parts(rules: HanabiRules, observation: jax.Array) -> dict[str, jax.Array]:
    shapes = layout(rules)
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    pieces = jnp.split(observation[: ends[-1]], ends[:-1])
    return {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


def _count(ones: jax.Array) -> jax.Array:
    return jnp.sum(ones, dtype=jnp.float32).astype(jnp.int32)


def _marks(rules: HanabiRules, knowledge: jax.Array) -> jax.Array:
    """int32 [P, H], as bits."""
    share, named = jnp.split(knowledge, [rules.num_types], axis=-1)
    can_be = share.reshape(*share.shape[:-1], rules.colors, rules.ranks) > 0
    possible = jnp.concatenate([jnp.any(can_be, axis=-1), jnp.any(can_be, axis=-2)], axis=-1)
    told = jnp.stack([jnp.any(part, axis=-1) for part in jnp.split(named > 0, [rules.colors], axis=-1)], axis=-1)
    bits = jnp.concatenate([possible, told], axis=-1)
    return jnp.sum(bits << jnp.arange(bits.shape[-1]), axis=-1)


def _last_move(rules: HanabiRules, see: dict[str, jax.Array]) -> LastMove:
    kind = jnp.asarray(KINDS)[jnp.argmax(see["kind"])]
    other = (jnp.argmax(see["hinted"]) - jnp.argmax(see["mover"]) - 1) % rules.players
    move = jnp.stack([kind, jnp.argmax(see["slot"]), jnp.where(kind >= HINT_COLOR, other, 0), jnp.argmax(see["named"])])
    action = jnp.argmax(jnp.all(jnp.asarray(move_table(rules)) == move, axis=1)).astype(jnp.int32)
    card = jnp.where(jnp.any(see["card"]), jnp.argmax(see["card"]), rules.num_types).astype(jnp.int32)
    is_start = ~jnp.any(see["kind"])
    return LastMove(jnp.where(is_start, -1, action), card, see["scored"] > 0, see["regained"] > 0)


class Watched(NamedTuple):
    """What a player of two remembers: the game as it saw it at its last decision, what it did, and whether it has."""

    view: HanabiState
    action: jax.Array
    has_begun: jax.Array


def unwatched(rules: HanabiRules) -> Watched:
    """Before its first decision."""
    shapes = jax.eval_shape(lambda seen: view_of(rules, seen, 0, 0), jnp.zeros(observation_size(rules)))
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return Watched(nothing, jnp.int32(0), jnp.asarray(False))


def watched(rules: HanabiRules, before: Watched, observation: jax.Array) -> HanabiState:
    """The game as the player to move sees it, with the turns that are left; two players."""
    view, player = before.view, observation[-1].astype(jnp.int32)
    is_card = jnp.asarray(move_table(rules))[before.action, 0] < HINT_COLOR
    is_empty, is_empty_then = (at == rules.num_cards for at in (view.position, view.position + is_card))
    at_first = rules.players - (player if rules.num_undealt == 0 else 0)
    turns_left = jnp.where(before.has_begun, view.turns_left - is_empty - (is_empty | is_empty_then), at_first)
    stage = jnp.where(before.has_begun, view.stage + rules.players, player)
    return view_of(rules, observation, turns_left, stage)
