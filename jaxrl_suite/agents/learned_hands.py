"""What a player of Hanabi believes of its own hand, learned from its blueprint's games; two players.

Hu et al., Learned Belief Search, arXiv 2106.09086: a recurrent network reads what a player sees at its own decisions,
and a second one names the cards of its hand from the oldest to the newest, each knowing those before it. For search
(`agents.search`) in games whose ordered hands are too many for `hanabi_beliefs.exact_hands`. Ours: games are played
anew for every step of learning instead of kept; cards that hints or the cards in sight rule out get no probability, in
learning as in play, so every drawn hand is one that the player may hold.

F, A, H, K as in `envs.hanabi_rules`; B: games, W: width, N: hands drawn.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, Metrics
from jaxrl_suite.agents.hanabi_beliefs import check_remembers_nothing, check_two_players, with_hands
from jaxrl_suite.config import static, sweepable, validate
from jaxrl_suite.envs.hanabi import HanabiEnv, observation_size
from jaxrl_suite.envs.hanabi_rules import HanabiRules, HanabiState, plausible_cards, unseen_counts
from jaxrl_suite.envs.hanabi_views import Watched, unwatched, watched
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.beliefs import Belief
from jaxrl_suite.learning.optimisation import clipped, gradient_step
from jaxrl_suite.learning.playing import Policy, games_at

PAPER = "its released program"


@struct.dataclass
class HandConfig:
    """Settings of the model and of how it learns."""

    width: int = static(512, "of all layers", symbol="W", source=PAPER, low=1)
    embedding: int = static(64, "numbers that a card before is given as", source=PAPER, low=1)
    learning_rate: float = sweepable(1e-3, "step size of Adam; 6.25e-5 there, for 500,000 updates", above=0)
    max_grad_norm: float = sweepable(5.0, "limit on the global norm of the gradient", source=PAPER, above=0)
    num_games: int = static(128, "played for an update", symbol="B", unit="games", source=PAPER, low=1)
    total_updates: int = static(1000, "of learning", unit="updates", low=1)


class HandModel(nn.Module):
    """Two dense layers and two LSTMs over own decisions, one LSTM over cards; `K` stands for no card before."""

    num_types: int
    width: int
    embedding: int

    def setup(self) -> None:
        self.layers = [nn.Dense(self.width), nn.Dense(self.width)]
        self.cells = [nn.OptimizedLSTMCell(self.width), nn.OptimizedLSTMCell(self.width)]
        self.embed = nn.Embed(self.num_types + 1, self.embedding)
        self.decoder = nn.OptimizedLSTMCell(self.width)
        self.head = nn.Dense(self.num_types)

    def initial_memory(self, batch_shape: tuple[int, ...]) -> Any:
        return tuple(self._carry(batch_shape) for _ in range(2))

    def _carry(self, batch_shape: tuple[int, ...]) -> Any:
        return (jnp.zeros((*batch_shape, self.width)),) * 2

    def encode(self, memory: Any, observation: jax.Array) -> tuple[Any, jax.Array]:
        """(memory, what is known [..., W]) after one more decision's observation [..., F + A + 1]."""
        x, after = observation, []
        for layer in self.layers:
            x = nn.relu(layer(x))
        for cell, carry in zip(self.cells, memory, strict=True):
            carry, x = cell(carry, x)
            after.append(carry)
        return tuple(after), x

    def decode(self, known: jax.Array, choose: Callable[[int, jax.Array], jax.Array], size: int) -> jax.Array:
        """The hand [..., H], where `choose(slot, logits [..., K])` names each card."""
        carry, card, cards = self._carry(known.shape[:-1]), jnp.full(known.shape[:-1], self.num_types), []
        for slot in range(size):
            carry, x = self.decoder(carry, jnp.concatenate([self.embed(card), known], axis=-1))
            card = choose(slot, self.head(x))
            cards.append(card)
        return jnp.stack(cards, axis=-1)

    def __call__(self, memory: Any, observation: jax.Array, hand: jax.Array) -> tuple[Any, jax.Array]:
        """(memory, logits [..., H, K]) of the cards of `hand`, each given those before it."""
        memory, known = self.encode(memory, observation)
        logits = []

        def choose(slot: int, row: jax.Array) -> jax.Array:
            logits.append(row)
            return hand[..., slot]

        self.decode(known, choose, hand.shape[-1])
        return memory, jnp.stack(logits, axis=-2)


def _model(rules: HanabiRules, config: HandConfig) -> HandModel:
    return HandModel(rules.num_types, config.width, config.embedding)


def untrained(rules: HanabiRules, config: HandConfig, key: jax.Array) -> Any:
    """The model's parameters before learning."""
    model, observation = _model(rules, config), jnp.zeros(observation_size(rules))
    return model.init(key, model.initial_memory(()), observation, jnp.zeros(rules.hand_size, jnp.int32))


class HandsMemory(NamedTuple):
    """seen: what the owner saw and did last. network: the model's memory."""

    seen: Watched
    network: Any


@functools.cache
def learned_hands(config: HandConfig) -> Callable[[Any, Any, int], Belief]:
    """Makes the belief of a model with these settings; its `params` are those of `learn_hands`."""
    validate(config)

    def make(env: Any, env_params: Any, count: int) -> Belief:
        rules = check_two_players(env, "learned_hands")
        model = _model(rules, config)

        def update(key: jax.Array, params: Any, memory: HandsMemory, observation: Any, policy: Policy) -> Any:
            key_draw, key_deck = jax.random.split(key)
            view = watched(rules, memory.seen, observation)
            encoded: Any = model.apply(params, memory.network, observation, method=model.encode)
            network, known = encoded
            draw = functools.partial(_drawn_hand, rules, model, params, view, known)
            hands, is_possible = jax.vmap(draw)(jax.random.split(key_draw, count))
            seen = memory.seen._replace(view=view, has_begun=jnp.asarray(True))
            return HandsMemory(seen, network), games_at(with_hands(rules, key_deck, view, hands)), is_possible

        def acted(memory: HandsMemory, action: jax.Array) -> HandsMemory:
            return memory._replace(seen=memory.seen._replace(action=action))

        def start(remembered: Any) -> HandsMemory:
            check_remembers_nothing(remembered, "learned_hands")
            return HandsMemory(unwatched(rules), model.initial_memory(()))

        return Belief(start, update, acted)

    return make


def _drawn_hand(
    rules: HanabiRules, model: HandModel, params: Any, view: HanabiState, known: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(hand [H], whether each card was one that was left to be drawn)."""
    keys = jax.random.split(key, rules.hand_size)
    left, is_possible = unseen_counts(rules, view, view.player), jnp.asarray(True)
    own, marks = view.hands[view.player], view.marks[view.player]

    def choose(slot: int, logits: jax.Array) -> jax.Array:
        nonlocal left, is_possible
        can_be, is_card = plausible_cards(rules, marks[slot]) & (left > 0), own[slot] < rules.num_types
        drawn = jax.random.categorical(keys[slot], jnp.where(can_be, logits, -jnp.inf))
        is_possible &= jnp.any(can_be) | ~is_card
        card = jnp.where(is_card, drawn, rules.num_types)
        left = left - (jnp.arange(rules.num_types) == card)
        return card

    hand: Any = model.apply(params, known, choose, rules.hand_size, method=model.decode)
    return hand, is_possible


class Decisions(NamedTuple):
    """Of a batch of games: what the mover saw, [T, B, F + A + 1]; its hand, [T, B, H]; which cards each can be after
    those before it, bool [T, B, H, K]; whether the game was on, [T, B]."""

    observation: jax.Array
    hand: jax.Array
    can_be: jax.Array
    is_on: jax.Array


def learn_hands(blueprint: Agent, state: Any, config: HandConfig, key: jax.Array) -> tuple[Any, Metrics]:
    """Learns what hands its player holds where the blueprint plays itself.

    Args:
        blueprint: an agent in Hanabi of two players whose `info.policy` is known and needs no memory. state: its own.

    Returns:
        (the model's parameters, metrics [total_updates]: loss, the mean cross-entropy of a card in nats).

    Raises:
        ConfigError: for another agent, or a setting out of range.
    """
    validate(config)
    env, policy_of = blueprint.info.env, blueprint.info.policy
    rules = check_two_players(env, "learn_hands")
    check_remembers_nothing(jax.eval_shape(blueprint.start, jax.random.key(0), state), "learn_hands")
    if policy_of is None:
        raise ConfigError(f"learn_hands: blueprint {blueprint.info.name}: must know its policy (AgentInfo.policy)")
    model, optimizer = _model(rules, config), clipped(config.max_grad_norm, optax.scale_by_adam(eps=1.5e-5))

    @jax.jit
    def learn(key: jax.Array, state: Any) -> tuple[Any, Metrics]:
        key_init, key_learn = jax.random.split(key)

        def policy(memory: Any, observation: Any) -> Any:
            return policy_of(state, memory, observation)

        params = untrained(rules, config, key_init)
        one = gradient_step(lambda params, batch: hand_loss(model, params, batch), optimizer, config.learning_rate)

        def update(carry: Any, key: jax.Array) -> Any:
            return one(carry, (played(env, blueprint.info.env_params, key, policy, config.num_games),))

        carry = (params, optimizer.init(params))
        (params, _), metrics = jax.lax.scan(update, carry, jax.random.split(key_learn, config.total_updates))
        return params, metrics

    return learn(key, state)


def played(env: HanabiEnv, env_params: Any, key: jax.Array, policy: Policy, count: int) -> Decisions:
    """`count` games of the policy with itself; T is even, so that each player's decisions are every second."""
    rules = env.rules
    key_deal, key_play = jax.random.split(key)

    def turn(carry: Any, key: jax.Array) -> Any:
        observation, state, is_on = carry
        row = Decisions(observation, *_hand_and_options(rules, state), is_on)
        action = jax.random.categorical(key, jnp.log(policy((), observation)[0])).astype(jnp.int32)
        observation, state, _, terminated, truncated = env.transition(key, state, action, env_params)
        return (observation, state, is_on & ~terminated & ~truncated), row

    def game(key_deal: jax.Array, key_play: jax.Array) -> Decisions:
        turns = rules.longest + rules.longest % 2
        carry = (*env.reset(key_deal, env_params), jnp.asarray(True))
        return jax.lax.scan(turn, carry, jax.random.split(key_play, turns))[1]

    return jax.vmap(game, out_axes=1)(jax.random.split(key_deal, count), jax.random.split(key_play, count))


def _hand_and_options(rules: HanabiRules, state: HanabiState) -> tuple[jax.Array, jax.Array]:
    hand = state.hands[state.player].astype(jnp.int32)
    held = hand[:, None] == jnp.arange(rules.num_types)
    left = unseen_counts(rules, state, state.player) - (jnp.cumsum(held, axis=0) - held)
    return hand, plausible_cards(rules, state.marks[state.player]) & (left > 0)


def hand_loss(model: HandModel, params: Any, batch: Decisions) -> tuple[jax.Array, Metrics]:
    """Mean cross-entropy of a card, in nats, over all that were held at a decision."""
    # Each player's decisions in a row: [T / 2, 2 B].
    rows = jax.tree.map(lambda x: x.reshape(x.shape[0] // 2, -1, *x.shape[2:]), batch)

    def step(memory: Any, row: Decisions) -> tuple[Any, jax.Array]:
        applied: Any = model.apply(params, memory, row.observation, row.hand)
        memory, logits = applied
        logits = jnp.where(row.can_be, logits, -1e9)
        hand = jnp.minimum(row.hand, model.num_types - 1)
        return memory, -jnp.take_along_axis(jax.nn.log_softmax(logits), hand[..., None], axis=-1)[..., 0]

    _, losses = jax.lax.scan(step, model.initial_memory(rows.is_on.shape[1:]), rows)
    is_held = rows.is_on[..., None] & (rows.hand < model.num_types)
    loss = jnp.sum(jnp.where(is_held, losses, 0.0)) / jnp.sum(is_held)
    return loss, {"loss": loss}
