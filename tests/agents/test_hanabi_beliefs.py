"""Beliefs over the own hand in Hanabi: the exact one is that of all deals weighed one by one."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.agents import uniform_play
from jaxrl_suite.agents.hanabi_beliefs import exact_hands, ordered_hands, stratified
from jaxrl_suite.agents.learned_hands import HandConfig, learn_hands, learned_hands
from jaxrl_suite.envs.hanabi import HanabiEnv, features, make
from jaxrl_suite.envs.hanabi_rules import HanabiRules, deal, plausible_cards, play
from jaxrl_suite.errors import ConfigError


def softmax_policy(env, scale):
    """A policy that depends on everything it sees, the own hand's secrets of the other player among it."""
    weights = scale * jax.random.normal(jax.random.key(5), (env.size, env.rules.num_actions))

    def policy(memory, observation):
        legal = env.turns.legal(observation, None)
        return jax.nn.softmax(jnp.where(legal, observation @ weights, -jnp.inf)), memory

    return policy


@pytest.mark.slow
def test_the_exact_posterior_is_that_of_all_deals():
    """One colour of three ranks: 60 decks, each weighed by all that one player has seen and the other has done."""
    rules = HanabiRules(colors=1, ranks=3, hand_size=2, hints=2, lives=2)
    env = HanabiEnv("hanabi/of-a-test", rules)
    policy, belief, hands = softmax_policy(env, 1.0), exact_hands(env, env.default_params, 4000), ordered_hands(rules)
    cards = np.repeat(np.arange(rules.num_types), rules.full_counts).tolist()
    decks = np.asarray(sorted(set(itertools.permutations(cards))), np.int8)
    act = jax.jit(lambda state, action: play(rules, state, action))
    act_all = jax.jit(jax.vmap(lambda state, action: play(rules, state, action), (0, None)))
    seen_all = jax.jit(jax.vmap(lambda state, player: features(rules, state, player), (0, None)))
    policy_all = jax.jit(jax.vmap(lambda state: policy((), env.observe(state))[0]))
    update = jax.jit(lambda key, memory, observation: belief.update(key, (), memory, observation, policy))
    rng, compared = np.random.default_rng(0), 0
    for _ in range(8):
        state, is_over = deal(rules, decks[rng.integers(len(decks))]), False
        states, weights = jax.vmap(lambda deck: deal(rules, deck))(decks), np.ones((2, len(decks)))
        memories = [belief.start(()), belief.start(())]
        while not is_over:
            player, observation = int(state.player), env.observe(state)
            weights[player] *= (seen_all(states, player) == features(rules, state, player)).all(axis=1)
            own = (np.asarray(states.hands)[:, player, None] == hands).all(axis=-1)
            expected = weights[player] @ own / weights[player].sum()
            memory, drawn, is_alive = update(jax.random.key(compared), memories[player], observation)
            assert is_alive.all()
            found = (np.asarray(drawn.state.hands)[:, player, None] == hands).all(axis=-1).mean(axis=0)
            np.testing.assert_allclose(found, expected, atol=1.001 / 4000)
            probabilities = np.asarray(policy((), observation)[0], np.float64)
            action = rng.choice(rules.num_actions, p=probabilities / probabilities.sum())
            weights[1 - player] *= np.asarray(policy_all(states))[:, action]
            memories[player] = belief.acted(memory, jnp.int32(action))
            state, _, is_over = act(state, action)
            states, compared = act_all(states, action)[0], compared + 1
    assert compared > 30


@pytest.mark.slow
def test_drawn_games_are_ones_that_the_player_may_be_in():
    """Small Hanabi: all that it sees is as it was, and every hand agrees with every hint."""
    env, params = make("hanabi/small"), make("hanabi/small").default_params
    policy, belief = softmax_policy(env, 0.3), exact_hands(env, params, 20)

    @jax.jit
    @jax.vmap
    def game(key):
        observation, state = env.reset(key, params)

        def turn(carry, key):
            observation, state, memory, is_on = carry
            key_belief, key_act = jax.random.split(key)
            player = state.player
            own = jax.tree.map(lambda x: x[player], memory)
            own, drawn, is_alive = belief.update(key_belief, (), own, observation, policy)
            same = jax.vmap(env.observe)(drawn.state) == observation
            allowed = jax.vmap(lambda cards: plausible_cards(env.rules, state.marks[player])[jnp.arange(2), cards])
            agrees = allowed(drawn.state.hands[:, player]) | (drawn.state.hands[:, player] == env.rules.num_types)
            action = jax.random.categorical(key_act, jnp.log(policy((), observation)[0])).astype(jnp.int32)
            memory = jax.tree.map(lambda x, new: x.at[player].set(new), memory, belief.acted(own, action))
            observation, state, _, ended, _ = env.transition(key, state, action, params)
            return (observation, state, memory, is_on & ~ended), ~is_on | (is_alive.all() & same.all() & agrees.all())

        memory = jax.tree.map(lambda x: jnp.stack([x] * 2), belief.start(()))
        return jax.lax.scan(turn, (observation, state, memory, True), jax.random.split(key, env.rules.longest))[1]

    assert np.asarray(game(jax.random.split(jax.random.key(0), 20))).all()


def test_stratified_draws_are_as_even_as_they_can_be():
    probabilities = jnp.asarray([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    counts = np.bincount(stratified(jax.random.key(0), probabilities, 8), minlength=6)
    np.testing.assert_array_equal(counts, [0, 2, 0, 4, 2, 0])
    drawn = jax.vmap(lambda key: stratified(key, jnp.asarray([0.1, 0.9]), 1)[0])(
        jax.random.split(jax.random.key(1), 2000)
    )
    assert drawn.mean() == pytest.approx(0.9, abs=0.03)


def test_what_is_refused():
    for options, message in (({"players": 3, "hand_size": 2}, "players = 3"), ({"hand_size": 5}, "hand_size = 5")):
        env = make("hanabi/small", **options)
        with pytest.raises(ConfigError, match=message):
            exact_hands(env, env.default_params, 10)


@pytest.mark.slow
def test_a_learned_belief_comes_near_the_exact_one():
    """Tiny Hanabi, a policy that tells much: how likely each card is in each slot, over all decisions of 40 games."""
    env, params = make("hanabi/tiny"), make("hanabi/tiny").default_params
    policy = softmax_policy(env, 2.0)
    blueprint = uniform_play(env, params)
    info = dataclasses.replace(blueprint.info, policy=lambda state, memory, seen: policy(memory, seen))
    blueprint = blueprint._replace(info=info)
    config = HandConfig(width=64, embedding=8, learning_rate=3e-3, num_games=32, total_updates=300)
    weights = [
        learn_hands(blueprint, (), dataclasses.replace(config, total_updates=count), jax.random.key(0))[0]
        for count in (300, 1)
    ]
    exact = exact_hands(env, params, 300), ()
    players = [exact, *((learned_hands(config)(env, params, 300), each) for each in weights)]

    @jax.jit
    @jax.vmap
    def game(key):
        """Shares of cards in the mover's hand by each belief, [T, 3, H, K], and whether the game was on, [T]."""
        observation, state = env.reset(key, params)

        def turn(carry, key):
            observation, state, memories, is_on = carry
            action = jax.random.categorical(key, jnp.log(policy((), observation)[0])).astype(jnp.int32)
            shares, after = [], []
            for (belief, weights), memory in zip(players, memories, strict=True):
                own = jax.tree.map(lambda x: x[state.player], memory)
                own, drawn, is_alive = belief.update(key, weights, own, observation, policy)
                cards = drawn.state.hands[:, state.player, :, None] == jnp.arange(env.rules.num_types)
                shares.append(jnp.sum(cards * is_alive[:, None, None], axis=0) / jnp.sum(is_alive))
                new = belief.acted(own, action)
                after.append(jax.tree.map(lambda x, y: x.at[state.player].set(y), memory, new))
            observation, state, _, ended, _ = env.transition(key, state, action, params)
            return (observation, state, after, is_on & ~ended), (jnp.stack(shares), is_on)

        memories = [jax.tree.map(lambda x: jnp.stack([x] * 2), belief.start(())) for belief, _ in players]
        return jax.lax.scan(turn, (observation, state, memories, True), jax.random.split(key, env.rules.longest))[1]

    shares, is_on = (np.asarray(x) for x in game(jax.random.split(jax.random.key(1), 40)))
    shares = shares[is_on]
    learned, unlearned = np.abs(shares[:, 1:] - shares[:, :1]).sum(axis=(-2, -1)).mean(axis=0) / 2
    assert learned < 0.2
    assert learned < 0.7 * unlearned
