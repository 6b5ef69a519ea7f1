"""What a player of Hanabi believes of its own hand: exactly, where all ordered hands can be listed; two players.

For search (`agents.search`). The posterior of the hand h after all that was seen is, up to a factor, the number of ways
to deal h from the cards not seen, times the product of pi(a | what the partner saw) over the partner's actions a: the
own actions' probabilities do not depend on h. The cards of the hand as it was at an earlier action are those still in
hand and those that have been shown since, so the product is kept as a function of the hand as it is now, [M].

P, C, R, H, K, A as in `envs.hanabi_rules`; M: ordered hands, (K + 1) K^(H - 1).
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.hanabi import HanabiEnv
from jaxrl_suite.envs.hanabi_rules import (
    HINT_COLOR,
    HanabiRules,
    HanabiState,
    deal,
    move_table,
    plausible_cards,
    play,
    unseen_counts,
    with_hand,
)
from jaxrl_suite.envs.hanabi_views import Watched, unwatched, watched
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.beliefs import Belief
from jaxrl_suite.learning.playing import Policy, games_at

MOST_HANDS = 50_000
"""Ordered hands that are listed: the partner's policy is asked for each of them, at each decision."""


class HandMemory(NamedTuple):
    """seen: what the owner saw and did last. log_likelihood: float32 [M], of the partner's actions so far."""

    seen: Watched
    log_likelihood: jax.Array


def check_two_players(env: Any, what: str) -> HanabiRules:
    """The game's rules. Raises ConfigError unless it is Hanabi of two players."""
    if not isinstance(env, HanabiEnv):
        raise ConfigError(f"{what}: {env.id}: must be a game of Hanabi")
    if env.rules.players != 2:
        raise ConfigError(f"{what}: players = {env.rules.players}: must be 2")
    return env.rules


def check_remembers_nothing(remembered: Any, what: str) -> None:
    """Raises ConfigError for a blueprint with memory: the partner's depends on the hand that is not seen."""
    if jax.tree.leaves(remembered):
        raise ConfigError(f"{what}: the blueprint: must have no memory, the partner's would depend on the hidden hand")


def ordered_hands(rules: HanabiRules) -> np.ndarray:
    """All sequences of types of card, int8 [M, H]; the newest may be K, no card.

    Raises ConfigError where there are too many.
    """
    types, size = rules.num_types, rules.hand_size
    count = (types + 1) * types ** (size - 1)
    if count > MOST_HANDS:
        raise ConfigError(
            f"exact_hands: hand_size = {size}, {types} types of card: {count:,} ordered hands: must be at most "
            f"{MOST_HANDS:,}"
        )
    return np.asarray(list(itertools.product(*[range(types)] * (size - 1), range(types + 1))), np.int8)


def exact_hands(env: Any, env_params: Any, count: int) -> Belief:
    """The exact posterior of the own hand, and `count` games drawn from it; decks are in any order.

    Args:
        env: Hanabi of two players whose hands can be listed.

    Raises:
        ConfigError: for another environment.
    """
    rules = check_two_players(env, "exact_hands")
    hands = ordered_hands(rules)

    def start(remembered: Any) -> HandMemory:
        check_remembers_nothing(remembered, "exact_hands")
        return HandMemory(unwatched(rules), jnp.zeros(len(hands)))

    def update(key: jax.Array, params: Any, memory: HandMemory, observation: Any, policy: Policy) -> Any:
        key_draw, key_deck = jax.random.split(key)
        view = watched(rules, memory.seen, observation)
        likelihood = jnp.where(view.stage == 0, 0.0, _likelihood(env, hands, memory, view, policy))
        posterior = likelihood + log_ways(rules, hands, view)
        drawn = stratified(key_draw, jax.nn.softmax(posterior), count)
        states = with_hands(rules, key_deck, view, jnp.asarray(hands)[drawn])
        memory = HandMemory(memory.seen._replace(view=view, has_begun=jnp.asarray(True)), likelihood)
        return memory, games_at(states), jnp.broadcast_to(jnp.max(posterior) > -jnp.inf, (count,))

    def acted(memory: HandMemory, action: jax.Array) -> HandMemory:
        return memory._replace(seen=memory.seen._replace(action=action))

    return Belief(start, update, acted)


def _likelihood(env: HanabiEnv, hands: np.ndarray, memory: HandMemory, view: HanabiState, policy: Policy) -> jax.Array:
    """float32 [M], logarithms: of the partner's actions so far, the last one too; at most 0."""
    rules, me = env.rules, view.player
    kind, slot = jnp.moveaxis(jnp.asarray(move_table(rules))[memory.seen.action, :2], -1, 0)
    has_drawn = memory.seen.has_begun & (kind < HINT_COLOR)
    shown = _own_card_shown(rules, memory.seen.view, view)
    nothing = jnp.zeros(rules.num_cards, jnp.int8)

    def one(hand: jax.Array) -> jax.Array:
        """For one hand as it is now."""
        slots = jnp.arange(rules.hand_size)
        held = jnp.where(slots == slot, shown, hand[slots - (slots > slot)])
        held = jnp.where(has_drawn, held, hand).astype(jnp.int8)
        before = memory.seen.view
        before = before._replace(
            hands=before.hands.at[me].set(held), deck=before.deck.at[before.position].set(hand[-1], mode="drop")
        )
        dealt = deal(rules, nothing)
        dealt = dealt._replace(hands=dealt.hands.at[me].set(hand))
        after, _, _ = play(rules, before, memory.seen.action)
        partners = jax.tree.map(lambda x, y: jnp.where(memory.seen.has_begun, x, y), after, dealt)
        row = memory.log_likelihood[_number(rules, held)]
        return row + jnp.log(policy((), env.observe(partners))[0][view.last.action])

    found = jax.vmap(one)(jnp.asarray(hands))
    return found - jnp.maximum(jnp.max(found), jnp.finfo(found.dtype).min)


def _own_card_shown(rules: HanabiRules, before: HanabiState, now: HanabiState) -> jax.Array:
    """The card that the owner played or discarded last, int32; anything after a hint."""

    def gone(view: HanabiState) -> jax.Array:
        return (view.fireworks[:, None] > jnp.arange(rules.ranks)).ravel() + view.discards

    partners = jnp.arange(rules.num_types) == now.last.card
    return jnp.argmax(gone(now) - gone(before) - partners)


def _number(rules: HanabiRules, hand: jax.Array) -> jax.Array:
    """Which row of `ordered_hands` a hand [H] is."""
    bases = [1, rules.num_types + 1, *[rules.num_types] * (rules.hand_size - 2)][: rules.hand_size]
    return hand.astype(jnp.int32) @ jnp.asarray(np.cumprod(bases)[::-1].copy())


def log_ways(rules: HanabiRules, hands: np.ndarray, view: HanabiState) -> jax.Array:
    """In how many ways each hand can be dealt from the cards that its owner does not see and as hints allow, as
    logarithms; float32 [M]."""
    slots = np.arange(rules.hand_size)
    is_card = hands < rules.num_types
    earlier = ((hands[:, :, None] == hands[:, None, :]) & (slots[None, :] < slots[:, None])).sum(-1)
    unseen = unseen_counts(rules, view, view.player)
    left = jnp.where(is_card, jnp.append(unseen, 0)[hands] - earlier, 1)
    lacks = view.hands[view.player] == rules.num_types
    can_be = jnp.append(plausible_cards(rules, view.marks[view.player]), lacks[:, None], axis=1)[slots, hands]
    is_possible = jnp.all(can_be & (left > 0), axis=1)
    return jnp.where(is_possible, jnp.sum(jnp.log(jnp.maximum(left, 1.0)), axis=1), -jnp.inf)


def stratified(key: jax.Array, probabilities: jax.Array, count: int) -> jax.Array:
    """int32 [N]: N draws, each by itself from `probabilities` [M], together as even as they can be."""
    total = jnp.cumsum(probabilities)
    spots = (jnp.arange(count) + jax.random.uniform(key)) / count * total[-1]
    return jnp.searchsorted(total, jnp.minimum(spots, jnp.nextafter(total[-1], 0.0)), side="right").astype(jnp.int32)


def with_hands(rules: HanabiRules, key: jax.Array, view: HanabiState, hands: jax.Array) -> HanabiState:
    """The game with each of `hands` [N, H] for the player to move, and decks of what is left, [N, ...]."""
    keys = jax.random.split(key, len(hands))
    return jax.vmap(with_hand, (None, 0, None, None, 0))(rules, keys, view, view.player, hands)
