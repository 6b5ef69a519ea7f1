"""Hanabi as an environment, `make("hanabi/standard")`: one stream of decisions, of whoever's turn it is (self-play).

Rules and observations are those of Bard et al., The Hanabi Challenge, AIJ 2020; `hanabi_rules` has the rules, and what
search needs of them. P, C, R, H, K, D, A as there.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.game_env import Turns
from jaxrl_suite.envs.hanabi_rules import (
    DISCARD,
    HINT_COLOR,
    HINT_RANK,
    PLAY,
    HanabiRules,
    HanabiState,
    deal,
    legal_actions,
    move_table,
    plausible_cards,
    play,
    shuffled_deck,
    traits,
)
from jaxrl_suite.errors import UnknownNameError

PRESETS: dict[str, dict[str, int]] = {
    "standard": {},
    "7-card-4-hint": {"hand_size": 7, "hints": 4},
    "small": {"colors": 2, "hand_size": 2, "hints": 3, "lives": 1},
    "tiny": {"colors": 2, "ranks": 2, "hand_size": 2, "hints": 2, "lives": 2},
}
"""What each name's game changes of the standard one. `tiny` has 8 cards and at most 11 turns, for exact beliefs."""

KINDS = (PLAY, DISCARD, HINT_COLOR, HINT_RANK)
"""The order of kinds of move in observations."""

IDS = tuple(f"hanabi/{name}" for name in PRESETS)


@struct.dataclass
class HanabiParams:
    """max_steps_in_episode: decisions after which an episode is cut off; by default as many as a game can have."""

    max_steps_in_episode: int = struct.field(pytree_node=False, default=89)


class HanabiEnv(BaseEnv):
    """A game of Hanabi. A state is a `HanabiState`; the reward is the team's.

    Observations, float32 [F + A + 1]: `features` of the player to move; which actions are legal, [A]; and its number.
    Actions are `move_table`'s; an illegal one is played as the lowest legal one.

    Attributes:
        rules: the game's parameters.
        turns: what learners in self-play ask; all players are paid the same.
    """

    def __init__(self, id: str, rules: HanabiRules):
        self.id, self.rules = id, rules
        self.default_params = HanabiParams(max_steps_in_episode=rules.longest)
        self.size = observation_size(rules)
        self.turns = Turns(self._player, self._legal, (1.0,) * rules.players, lambda state, _: self.observe(state))

    def _player(self, observation: jax.Array, params: Any) -> jax.Array:
        return observation[..., -1].astype(jnp.int32)

    def _legal(self, observation: jax.Array, params: Any) -> jax.Array:
        return observation[..., -1 - self.rules.num_actions : -1] > 0

    def observation_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Box(0.0, float(self.rules.players - 1), (self.size,), jnp.float32)

    def action_space(self, params: Any) -> Any:
        from gymnax.environments import spaces

        return spaces.Discrete(self.rules.num_actions)

    def observe(self, state: HanabiState) -> jax.Array:
        """What the player to move sees, float32 [F + A + 1]."""
        parts = features(self.rules, state, state.player), legal_actions(self.rules, state), state.player[None]
        return jnp.concatenate([part.astype(jnp.float32) for part in parts])

    def _reset(self, key: jax.Array, params: HanabiParams) -> tuple[Any, Any]:
        state = deal(self.rules, shuffled_deck(self.rules, key))
        return self.observe(state), state

    def _advance(self, key: jax.Array, state: Any, action: Any, params: HanabiParams) -> tuple[Any, ...]:
        legal = legal_actions(self.rules, state)
        after, reward, is_over = play(self.rules, state, jnp.where(legal[action], action, jnp.argmax(legal)))
        is_cut = (after.stage >= params.max_steps_in_episode) & ~is_over
        return self.observe(after), after, reward, is_over, is_cut, {}


def layout(rules: HanabiRules) -> dict[str, tuple[int, ...]]:
    """The parts of `features` and their shapes, in order."""
    players, hand, types, bits = rules.players, rules.hand_size, rules.num_types, rules.colors + rules.ranks
    return {
        "hands": (players - 1, hand, types),
        "lacks": (players,),
        "deck": (rules.num_undealt,),
        "fireworks": (rules.colors, rules.ranks),
        "hints": (rules.hints,),
        "lives": (rules.lives,),
        "discards": (rules.num_cards,),
        "mover": (players,),
        "kind": (4,),
        "hinted": (players,),
        "named": (bits,),
        "touched": (hand,),
        "slot": (hand,),
        "card": (types,),
        "scored": (),
        "regained": (),
        "knowledge": (players, hand, types + bits),
    }


def num_features(rules: HanabiRules) -> int:
    """F, the size of `features`: 658 in the standard game, 844 with 7 cards and 4 hints."""
    return sum(math.prod(shape) for shape in layout(rules).values())


def observation_size(rules: HanabiRules) -> int:
    """F + A + 1."""
    return num_features(rules) + rules.num_actions + 1


def features(rules: HanabiRules, state: HanabiState, observer: jax.Array) -> jax.Array:
    """What a player sees, float32 [F], with the players in turn from the observer on.

    In this order, that of `layout`:
        the others' cards, [P - 1, H, K], and who lacks a card, [P];
        as many ones as there are cards in the deck, [D - P H]; the last card of each firework, [C, R]; as many ones as
        hint tokens, and as lives; as many ones as discards of each type, [D];
        the move before (zeros at the start): who made it, [P]; play, discard, colour or rank hint, [4]; who was
        hinted, [P]; the colour and the rank named, [C] and [R]; the cards the hint touched, [H]; the slot played or
        discarded, [H], and its card, [K]; whether it scored, and whether that gave a token back;
        of each player's cards: what they can be by hints, weighted by the cards that are neither played nor discarded,
        [P, H, K]; whether hints named the colour and the rank, [C] and [R], beside each.
    """
    seats = (observer + jnp.arange(rules.players)) % rules.players
    parts = (
        *_hands(rules, state, seats),
        *_board(rules, state),
        *_last_move(rules, state, observer),
        _knowledge(rules, state, seats),
    )
    return jnp.concatenate([jnp.ravel(part).astype(jnp.float32) for part in parts])


def _one_hot(number: jax.Array, count: int) -> jax.Array:
    return number[..., None] == jnp.arange(count)


def _hands(rules: HanabiRules, state: HanabiState, seats: jax.Array) -> tuple[jax.Array, ...]:
    hands = state.hands[seats]
    return _one_hot(hands[1:], rules.num_types), jnp.any(hands == rules.num_types, axis=1)


def _board(rules: HanabiRules, state: HanabiState) -> tuple[jax.Array, ...]:
    number = jnp.asarray(np.concatenate([np.arange(count) for count in rules.full_counts]))
    types = np.repeat(np.arange(rules.num_types), rules.full_counts)
    return (
        jnp.arange(rules.num_undealt) < rules.num_cards - state.position,
        _one_hot(state.fireworks - 1, rules.ranks),
        jnp.arange(rules.hints) < state.hints,
        jnp.arange(rules.lives) < state.lives,
        number < state.discards[types],
    )


def _last_move(rules: HanabiRules, state: HanabiState, observer: jax.Array) -> tuple[jax.Array, ...]:
    last, is_start = state.last, state.last.action < 0
    kind, slot, other, bit = jnp.moveaxis(jnp.asarray(move_table(rules))[last.action], -1, 0)
    kind = jnp.where(is_start, -1, kind)
    is_hint = kind >= HINT_COLOR
    mover = (state.player - 1 - observer) % rules.players
    hinted = (mover + 1 + other) % rules.players
    touched = (traits(rules, state.hands[(observer + hinted) % rules.players]) >> bit.astype(jnp.int16)) & 1 > 0
    return (
        _one_hot(mover, rules.players) & ~is_start,
        kind == jnp.asarray(KINDS),
        _one_hot(hinted, rules.players) & is_hint,
        _one_hot(bit, rules.colors + rules.ranks) & is_hint,
        touched & is_hint,
        _one_hot(slot, rules.hand_size) & ~is_hint & ~is_start,
        _one_hot(last.card, rules.num_types),
        last.scored,
        last.regained,
    )


def _knowledge(rules: HanabiRules, state: HanabiState, seats: jax.Array) -> jax.Array:
    """What hints and the table tell of each card, float32 [P, H, K + C + R]."""
    marks = state.marks[seats]
    played = jnp.arange(rules.ranks) < state.fireworks[:, None]
    left = jnp.asarray(rules.full_counts) - played.ravel() - state.discards
    weights = jnp.where(plausible_cards(rules, marks), left, 0).astype(jnp.float32)
    share = weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1)
    bits = rules.colors + rules.ranks
    is_told = marks[..., None] >> jnp.asarray([bits] * rules.colors + [bits + 1] * rules.ranks, jnp.int16)
    named = (marks[..., None] >> jnp.arange(bits, dtype=jnp.int16)) & is_told & 1
    return jnp.concatenate([share, named.astype(jnp.float32)], axis=-1)


def make(id: str, **options: Any) -> HanabiEnv:
    """The environment `hanabi/NAME`, NAME one of `PRESETS`.

    Args:
        **options: fields of `HanabiRules` to change. `hand_size`, where neither the name nor an option gives it, is 5
            for two and three players, else 4.

    Raises:
        UnknownNameError: for another name or option. ConfigError: for a value that is not allowed.
    """
    name = id.removeprefix("hanabi/")
    if name not in PRESETS:
        raise UnknownNameError("Hanabi game", name, PRESETS)
    known = HanabiRules.__dataclass_fields__
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of {id}", option, known)
    is_crowded = options.get("players", 2) in (4, 5)
    chosen: dict[str, Any] = {"hand_size": 4 if is_crowded else 5, **PRESETS[name], **options}
    return HanabiEnv(id, HanabiRules(**chosen))
