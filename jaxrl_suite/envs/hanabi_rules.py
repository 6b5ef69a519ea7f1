"""The rules of Hanabi (Bard et al., The Hanabi Challenge, AIJ 2020) for any numbers of players, cards and tokens.

Pure functions of one game; `vmap` for more. P: players, C: colours, R: ranks, H: cards in a hand, K = C R: types of
card, D: cards in the deck, A: actions. A card is the number colour * R + rank, ranks from 0; K stands for no card.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.errors import ConfigError

DISCARD, PLAY, HINT_COLOR, HINT_RANK = range(4)
_ALLOWED = {
    "players": (2, 5),
    "colors": (1, 5),
    "ranks": (1, 5),
    "hand_size": (1, 25),
    "hints": (0, 100),
    "lives": (1, 100),
}


@dataclasses.dataclass(frozen=True)
class HanabiRules:
    """What a game of Hanabi is played with. Hashable; the defaults are the game's own for two players.

    Attributes:
        players, colors, ranks: 2 to 5, 1 to 5, 1 to 5.
        hand_size: cards in a full hand, as many as the deck can deal to everyone.
        hints: information tokens at the start, and the most there can be.
        lives: mistakes until the game is lost.
        bomb_zero: whether a lost game scores 0 (as in the paper) instead of the points so far.

    Raises:
        ConfigError: for a value that is not allowed.
    """

    players: int = 2
    colors: int = 5
    ranks: int = 5
    hand_size: int = 5
    hints: int = 8
    lives: int = 3
    bomb_zero: bool = True

    def __post_init__(self) -> None:
        for name, (low, high) in _ALLOWED.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"hanabi: {name} = {value!r}: must be a whole number from {low} to {high}")
        if not isinstance(self.bomb_zero, bool):
            raise ConfigError(f"hanabi: bomb_zero = {self.bomb_zero!r}: must be True or False")
        most = self.num_cards // self.players
        if self.hand_size > most:
            raise ConfigError(
                f"hanabi: hand_size = {self.hand_size}: must be at most {most}, "
                f"with {self.num_cards} cards for {self.players} players"
            )

    @property
    def copies(self) -> tuple[int, ...]:
        """How many cards of each rank a colour has, [R]: 3 of the first, 1 of the last, 2 of those between."""
        return (3, *(2,) * (self.ranks - 2), 1) if self.ranks > 1 else (3,)

    @property
    def num_types(self) -> int:
        """K, types of card, the best score, and the number that stands for no card."""
        return self.colors * self.ranks

    @property
    def num_cards(self) -> int:
        """D, cards in the whole deck."""
        return self.colors * sum(self.copies)

    @property
    def num_undealt(self) -> int:
        """Cards in the deck once the first hands are dealt."""
        return self.num_cards - self.players * self.hand_size

    @property
    def num_actions(self) -> int:
        """A = 2 H + (P - 1)(C + R)."""
        return 2 * self.hand_size + (self.players - 1) * (self.colors + self.ranks)

    @property
    def longest(self) -> int:
        """The most turns a game can have.

        Every turn before the last card is drawn either draws one of the U undealt cards or takes a hint token. Each
        turn that draws gives back at most one token, the one that draws the last card too late for those turns: with T
        tokens at the start that is U + T + U - 1. The last round has P turns more.
        """
        return self.players + (self.hints + 2 * self.num_undealt - 1 if self.num_undealt else 0)

    @property
    def full_counts(self) -> np.ndarray:
        """How many of each type of card there are, int32 [K]."""
        return np.tile(np.asarray(self.copies, np.int32), self.colors)


class LastMove(NamedTuple):
    """What everyone saw of the move before.

    action: int32, -1 at the start. card: int32, what was played or discarded, K in a hint. scored, regained: bool,
    whether the card was played rightly, and whether that gave a hint token back.
    """

    action: jax.Array
    card: jax.Array
    scored: jax.Array
    regained: jax.Array


class HanabiState(NamedTuple):
    """One game. Cards are in the order in which they are drawn, hands from the oldest card to the newest.

    deck: int8 [D], of which those before `position` are drawn and mean nothing any more. position: int32.
    hands: int8 [P, H], K where the deck had no card to draw any more.
    marks: int16 [P, H], what hints told of each card, in bits: colours that it can have, C of them, then ranks that it
        can have, R; then whether a hint named its colour, and whether one named its rank. 0 where there is no card.
    fireworks: int8 [C], cards of each colour played. discards: int8 [K], cards of each type discarded or misplayed.
    hints, lives: int32, tokens left. player: int32, whose turn it is.
    turns_left: int32, turns from when the deck is empty. stage: int32, turns taken.
    last: the move before.
    """

    deck: jax.Array
    position: jax.Array
    hands: jax.Array
    marks: jax.Array
    fireworks: jax.Array
    discards: jax.Array
    hints: jax.Array
    lives: jax.Array
    player: jax.Array
    turns_left: jax.Array
    stage: jax.Array
    last: LastMove


@functools.cache
def move_table(rules: HanabiRules) -> np.ndarray:
    """What each action is, int32 [A, 4]: its kind, the slot, the player hinted (0: the next one), and the bit named.

    Actions, in the order of the Hanabi Learning Environment: discard each slot, play each slot, name each colour to
    each other player, name each rank to each other player. Bits are those of `HanabiState.marks`.
    """
    slots, others = range(rules.hand_size), range(rules.players - 1)
    moves = [(kind, slot, 0, 0) for kind in (DISCARD, PLAY) for slot in slots]
    moves += [(HINT_COLOR, 0, other, color) for other in others for color in range(rules.colors)]
    moves += [(HINT_RANK, 0, other, rules.colors + rank) for other in others for rank in range(rules.ranks)]
    return np.asarray(moves, np.int32)


def shuffled_deck(rules: HanabiRules, key: jax.Array) -> jax.Array:
    """All cards in random order, int8 [D]."""
    cards = np.repeat(np.arange(rules.num_types), rules.full_counts)
    return _shuffled(key, jnp.asarray(cards, jnp.int8))


def _shuffled(key: jax.Array, cards: jax.Array) -> jax.Array:
    """`cards` [n] in random order, those that are negative last.

    A card rides in the low bits of a random number, so that sorting carries one array, not two; two of 50 cards then
    draw the same 26 bits, and come in the order of their numbers, in one deck of fifty thousand.
    """
    drawn = jax.random.bits(key, cards.shape, jnp.uint32) >> 1
    drawn = (drawn & ~jnp.uint32(31)) | cards.astype(jnp.uint32) & 31
    drawn = jnp.where(cards < 0, jnp.uint32(2**32 - 1), drawn)
    return (jnp.sort(drawn) & 31).astype(jnp.int8)


def deal(rules: HanabiRules, deck: Any) -> HanabiState:
    """The start of a game: the first H cards to player 0, the next H to player 1, and so on.

    Args:
        deck: [D] ints, all cards.
    """
    dealt = rules.players * rules.hand_size
    deck = jnp.asarray(deck, jnp.int8)
    shape = (rules.players, rules.hand_size)
    zero = jnp.zeros((), jnp.int32)
    is_not = jnp.zeros((), bool)
    return HanabiState(
        deck=deck,
        position=jnp.int32(dealt),
        hands=deck[:dealt].reshape(shape),
        marks=jnp.full(shape, _unmarked(rules), jnp.int16),
        fireworks=jnp.zeros(rules.colors, jnp.int8),
        discards=jnp.zeros(rules.num_types, jnp.int8),
        hints=jnp.int32(rules.hints),
        lives=jnp.int32(rules.lives),
        player=zero,
        turns_left=jnp.int32(rules.players),
        stage=zero,
        last=LastMove(jnp.int32(-1), jnp.int32(rules.num_types), is_not, is_not),
    )


def _unmarked(rules: HanabiRules) -> int:
    return 2 ** (rules.colors + rules.ranks) - 1


def traits(rules: HanabiRules, cards: jax.Array) -> jax.Array:
    """The bits of `marks` that are true of each card, int16, any shape: one colour and one rank; 0 for no card."""
    cards = cards.astype(jnp.int16)
    one = jnp.int16(1)
    bits = (one << cards // rules.ranks) | (one << rules.colors + cards % rules.ranks)
    return jnp.where(cards < rules.num_types, bits, 0)


def others_traits(rules: HanabiRules, hands: jax.Array, player: jax.Array) -> jax.Array:
    """Which colours and ranks the other players hold, bool [P - 1, C + R], from the next player on."""
    others = (player + 1 + jnp.arange(rules.players - 1)) % rules.players
    held = jnp.bitwise_or.reduce(traits(rules, hands), axis=1)[others]
    return (held[:, None] >> jnp.arange(rules.colors + rules.ranks, dtype=jnp.int16)) & 1 > 0


def legal_actions(rules: HanabiRules, state: HanabiState) -> jax.Array:
    """What the player to move may do, bool [A], as `move_table` orders it.

    A discard needs a token to be missing, a hint needs one to be there and must touch a card.
    """
    has_card = state.hands[state.player] < rules.num_types
    told = others_traits(rules, state.hands, state.player) & (state.hints > 0)
    told = told[:, : rules.colors].ravel(), told[:, rules.colors :].ravel()
    return jnp.concatenate([has_card & (state.hints < rules.hints), has_card, *told])


def play(rules: HanabiRules, state: HanabiState, action: jax.Array) -> tuple[HanabiState, jax.Array, jax.Array]:
    """One turn.

    Args:
        action: int32, a legal one.

    Returns:
        (the state after it, reward float32, whether the game is over bool). The reward is 1 for a card played rightly;
        the loss of the last life takes the points so far, with `bomb_zero`.
    """
    kind, slot, other, bit = jnp.moveaxis(jnp.asarray(move_table(rules))[action], -1, 0)
    is_hint, is_discard, is_play = kind >= HINT_COLOR, kind == DISCARD, kind == PLAY
    row = jnp.where(is_hint, state.player + 1 + other, state.player) % rules.players
    hand, marks = state.hands[row], state.marks[row]
    card = jnp.where(is_hint, rules.num_types, hand[slot])

    fits = (jnp.arange(rules.colors) == card // rules.ranks) & (state.fireworks == card % rules.ranks) & is_play
    scored = jnp.any(fits)
    is_mistake = is_play & ~scored
    is_completed = scored & (card % rules.ranks == rules.ranks - 1)
    regained = is_completed & (state.hints < rules.hints)

    is_empty = state.position == rules.num_cards
    drawn = jnp.where(is_empty, rules.num_types, state.deck.at[state.position].get(mode="clip")).astype(jnp.int8)
    fresh = jnp.where(is_empty, 0, _unmarked(rules)).astype(jnp.int16)
    is_row = jnp.arange(rules.players)[:, None] == row
    after = HanabiState(
        deck=state.deck,
        position=state.position + (~is_hint & ~is_empty),
        hands=jnp.where(is_row & ~is_hint, _replaced(hand, slot, drawn), state.hands),
        marks=jnp.where(
            is_row,
            jnp.where(is_hint, _hinted(rules, hand, marks, bit), _replaced(marks, slot, fresh)),
            state.marks,
        ),
        fireworks=state.fireworks + fits,
        discards=state.discards + ((jnp.arange(rules.num_types) == card) & (is_discard | is_mistake)),
        hints=state.hints + (is_discard | regained) - is_hint,
        lives=state.lives - is_mistake,
        player=(state.player + 1) % rules.players,
        turns_left=state.turns_left - is_empty,
        stage=state.stage + 1,
        last=LastMove(jnp.asarray(action, jnp.int32), card.astype(jnp.int32), scored, regained),
    )
    points = jnp.sum(state.fireworks.astype(jnp.int32))
    is_lost = after.lives == 0
    reward = scored - jnp.where(is_lost & rules.bomb_zero, points, 0)
    is_over = is_lost | (points + scored == rules.num_types) | (after.turns_left == 0)
    return after, reward.astype(jnp.float32), is_over


def _replaced(row: jax.Array, slot: jax.Array, new: jax.Array) -> jax.Array:
    """`row` [H] without what is at `slot`; the rest moves up, and `new` comes last."""
    moved = jnp.concatenate([row[1:], new[None]])
    return jnp.where(jnp.arange(len(row)) >= slot, moved, row)


def _hinted(rules: HanabiRules, hand: jax.Array, marks: jax.Array, bit: jax.Array) -> jax.Array:
    """The marks of a hand [H] after a hint that names the colour or rank of `bit`."""
    named = (jnp.int16(1) << bit).astype(jnp.int16)
    is_color = bit < rules.colors
    all_colors, all_traits = 2**rules.colors - 1, _unmarked(rules)
    alike = jnp.where(is_color, all_colors, all_traits - all_colors).astype(jnp.int16)
    is_told = jnp.where(is_color, all_traits + 1, 2 * (all_traits + 1)).astype(jnp.int16)
    touched = traits(rules, hand) & named > 0
    return jnp.where(touched, (marks & ~alike) | named | is_told, marks & ~named)


def seen_counts(rules: HanabiRules, state: HanabiState, player: jax.Array) -> jax.Array:
    """Cards of each type that `player` sees: in fireworks, discards and the others' hands; int32 [K]."""
    played = (state.fireworks[:, None] > jnp.arange(rules.ranks)).ravel().astype(jnp.int32)
    is_other = jnp.arange(rules.players)[:, None] != player
    held = jnp.where(is_other, state.hands, rules.num_types).ravel()[:, None] == jnp.arange(rules.num_types)
    return played + state.discards + jnp.sum(held, axis=0, dtype=jnp.int32)


def unseen_counts(rules: HanabiRules, state: HanabiState, player: jax.Array) -> jax.Array:
    """Cards of each type that `player` does not see, in its own hand or in the deck; int32 [K]."""
    return jnp.asarray(rules.full_counts) - seen_counts(rules, state, player)


def plausible_cards(rules: HanabiRules, marks: jax.Array) -> jax.Array:
    """What each card can be by what hints told of it, bool [..., K]; all False where there is no card.

    Args:
        marks: int16 [...], as `HanabiState.marks`: those of one player's hand, or all.
    """
    types = traits(rules, jnp.arange(rules.num_types))
    return marks[..., None] & types == types


def with_hand(rules: HanabiRules, key: jax.Array, state: HanabiState, player: jax.Array, cards: Any) -> HanabiState:
    """The game with another hand for `player`, and a deck of what is then left, in random order.

    What `player` observes stays as it is if each card is plausible by its marks and all come from `unseen_counts`;
    neither is checked.

    Args:
        cards: [H] ints, K exactly where the player has no card.
    """
    hand = jnp.asarray(cards, jnp.int8)
    own = jnp.sum(hand[:, None] == jnp.arange(rules.num_types), axis=0, dtype=jnp.int32)
    left = unseen_counts(rules, state, player) - own
    # The full deck lists each type's copies in a row: of each, the first `left` are in the deck.
    types = np.repeat(np.arange(rules.num_types), rules.full_counts)
    number = np.concatenate([np.arange(count) for count in rules.full_counts])
    shuffled = _shuffled(key, jnp.where(number < left[types], types, -1))
    later = jnp.arange(rules.num_cards) - state.position
    deck = jnp.where(later >= 0, shuffled.at[later].get(mode="clip"), state.deck)
    is_row = jnp.arange(rules.players)[:, None] == player
    return state._replace(deck=deck, hands=jnp.where(is_row, hand, state.hands))
