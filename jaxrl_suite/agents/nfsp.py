"""Neural fictitious self-play (Heinrich, Silver 2016, arXiv 1603.01121), algorithm 1: for games in self-play.

Two networks: Q, a best response to how the others play, learns by DQN from a ring of transitions; Pi, the average of
the best responses so far, learns their actions from a reservoir. At the start of a game each player draws which of the
two it plays: with chance eta epsilon-greedily by Q, else by Pi, so that the others meet nearly the average policy and
Q can still follow what it is about to become. What is judged, and what `act` plays, is Pi.

A transition goes from a decision of a player to its own next one, or to the game's end, with its own reward. All are
replayed, whichever of the two was played; what was played by Q is in the reservoir.

The paper has two networks a player. Here players share them, as those of this suite's other learners in self-play do:
observations tell whose turn it is (an information set is one player's, a board's observation ends with its mover), so
it is as much one function as two, and both memories and every gradient step serve all players.

Symbols: N environments, T steps an update, P players, A actions, B minibatch; M_RL the ring, M_SL the reservoir.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.memoryless import play_by
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.packing import packing_of
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.local_updates import normalized
from jaxrl_suite.learning.networks import ACTIVATIONS, TORSOS, Network, check_hidden_sizes, torso_of
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.q_learning import (
    among_legal,
    check_discrete,
    epsilon_greedy,
    exploration,
    linear_epsilon,
    value_of,
)
from jaxrl_suite.learning.replay import (
    Experience,
    add_where,
    check_replay,
    empty_replay,
    memory_of,
    replay_of,
    td_learner,
)
from jaxrl_suite.learning.reservoir import add_to_reservoir, empty_reservoir
from jaxrl_suite.learning.turn_taking import Decisions, none_pending, own_transitions
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.sampling import sample_index

OPEN_SPIEL = "OpenSpiel's Leduc example"


@struct.dataclass
class NFSPConfig:
    """Settings of NFSP. Floats can be swept; everything else selects a program."""

    anticipation: float = sweepable(
        0.1, "chance that a player plays its best response in a game", symbol="eta", source=OPEN_SPIEL, above=0, high=1
    )
    response_learning_rate: float = sweepable(0.01, "step size of Q", source=OPEN_SPIEL, above=0)
    average_learning_rate: float = sweepable(0.01, "step size of Pi", source=OPEN_SPIEL, above=0)
    discount: float = sweepable(1.0, "discount factor, a decision", symbol="gamma", source=OPEN_SPIEL, low=0, high=1)
    initial_epsilon: float = sweepable(
        0.06, "chance of a random action in a best response, at first", source=OPEN_SPIEL, low=0, high=1
    )
    final_epsilon: float = sweepable(0.001, "at last", symbol="epsilon", source=OPEN_SPIEL, low=0, high=1)
    exploration_fraction: float = sweepable(
        1.0, "part of the budget over which epsilon falls", source=OPEN_SPIEL, above=0, high=1
    )
    total_updates: int = static(100_000, "budget: updates over which epsilon falls", unit="updates", low=1)
    num_envs: int = static(64, "games played in parallel", symbol="N", unit="environments", low=1)
    train_frequency: int = static(
        1, "decisions a game and update; 64 an update as there", symbol="T", unit="decisions", low=1
    )
    gradient_steps: int = static(1, "minibatches an update, of each network", source=OPEN_SPIEL, low=1)
    batch_size: int = static(128, "samples a minibatch", symbol="B", unit="samples", source=OPEN_SPIEL, low=1)
    buffer_size: int = static(200_000, "transitions kept", symbol="M_RL", source=OPEN_SPIEL, low=1)
    reservoir_size: int = static(2_000_000, "best responses kept", symbol="M_SL", source=OPEN_SPIEL, low=1)
    learning_starts: int = static(
        1000, "neither network learns before so many have come to its memory (nor before a minibatch)",
        unit="samples", source=OPEN_SPIEL, low=0,
    )  # fmt: skip
    target_period: int = static(
        19_200, "the target is copied by each update that reaches a multiple of it", unit="decisions",
        source=OPEN_SPIEL, low=1,
    )  # fmt: skip
    optimizer: str = static("sgd", "of both networks", source=OPEN_SPIEL, choices=("sgd", "adam"))
    error: str = static(
        "squared", "of temporal differences: squared, or linear beyond 1", source=OPEN_SPIEL,
        choices=("squared", "huber"),
    )  # fmt: skip
    double: bool = static(False, "the online network chooses the next action, the target network judges it")
    hidden_sizes: tuple[int, ...] = static((128,), "widths of the hidden layers of both", source=OPEN_SPIEL)
    activation: str = static("relu", "activation of the torsos", source=OPEN_SPIEL, choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "fully connected, or one convolution of 16 channels first", choices=TORSOS)
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        check_hidden_sizes("NFSPConfig", self.hidden_sizes)
        check_replay(self)
        if self.reservoir_size < self.batch_size:
            raise ConfigError(
                f"NFSPConfig.reservoir_size = {self.reservoir_size}: must hold batch_size = {self.batch_size} samples"
            )


class Networks(NamedTuple):
    """Something of both networks: response is Q's, average Pi's."""

    response: Any
    average: Any


@struct.dataclass
class NFSPState:
    """Both networks' parameters and optimisers' states, Q's target; M_RL and M_SL; the games and what they show, [N].

    pending: each player's last transition, not complete yet. responds: bool [N, P], who plays its best response.
    """

    params: Networks
    opt_state: Networks
    target_params: Any
    replay: Any
    reservoir: Any
    env: Any
    observation: Any
    pending: Any
    responds: jax.Array


class Response(NamedTuple):
    """What is learnt by imitation: an observation, as memories keep it, and what Q played."""

    observation: Any
    action: jax.Array


def _check(env: Any, env_params: Any, config: NFSPConfig) -> None:
    check_discrete("nfsp", env, env_params)
    if getattr(env, "turns", None) is None:
        raise ConfigError(f"nfsp: {env.id}: must be a game in self-play, as make('game/kuhn_poker')")
    most = (config.train_frequency + len(env.turns.signs)) * config.num_envs
    if config.buffer_size < most:
        raise ConfigError(
            f"NFSPConfig.buffer_size = {config.buffer_size}: must hold the {most} transitions that "
            f"{config.train_frequency} steps of {config.num_envs} games can complete"
        )


@agent_factory("nfsp", NFSPConfig, _check)
def nfsp(env: Any, env_params: Any, config: NFSPConfig) -> Agent:
    """NFSP on `env`. One update is T decisions in N games, then `gradient_steps` minibatches for each network."""
    shown_params, env_params = env_params, own_arrays(env_params)
    packing = packing_of(env, env_params, numbers=config.module is None)
    vector, turns = VectorEnv(env, config.num_envs, config.reset_pool), env.turns
    num_actions, num_players = int(env.action_space(env_params).n), len(turns.signs)
    torso = torso_of(config, packing.space)
    networks = Networks(Network(torso, num_actions, 1.0), Network(torso, num_actions, 0.01))
    optimizer = optax.identity() if config.optimizer == "sgd" else optax.flatten(optax.scale_by_adam(eps=1e-8))
    replay, imitated = replay_of(config), memory_of(config.reservoir_size, config.batch_size)
    steps_per_update, least = config.num_envs * config.train_frequency, max(config.learning_starts, config.batch_size)

    def q_values(params: Any, seen: Any) -> jax.Array:
        """Q(s, .), [..., A]; seen: an observation, as it is shown to networks."""
        outputs: Any = networks.response.apply(params, (), seen)
        return among_legal(outputs[1], turns.legal(seen, env_params))

    def log_average(params: Any, seen: Any) -> jax.Array:
        """log Pi(s, .), [..., A]."""
        outputs: Any = networks.average.apply(params, (), seen)
        return normalized(outputs[1], turns.legal(seen, env_params))

    def init(key: jax.Array) -> NFSPState:
        key_env, key_response, key_average, key_draw = jax.random.split(key, 4)
        observation, env_state = vector.reset(key_env, env_params)
        keys = Networks(key_response, key_average)
        params = Networks(*(n.init(k, (), packing.view(observation)) for n, k in zip(networks, keys, strict=True)))
        kept, action = packing.pack(observation), jnp.zeros(config.num_envs, jnp.int32)
        nothing = jnp.zeros((1, config.num_envs))
        transitions = Experience(kept[None], action[None], nothing, nothing > 0, kept[None])
        responses = empty_replay(imitated, Response(kept[None], action[None]))
        return NFSPState(
            params=params,
            opt_state=Networks(*map(optimizer.init, params)),
            target_params=params.response,
            replay=empty_replay(replay, transitions),
            reservoir=empty_reservoir(responses),
            env=env_state,
            observation=observation,
            pending=none_pending(kept, action, num_players),
            responds=jax.random.uniform(key_draw, (config.num_envs, num_players)) < config.anticipation,
        )

    def update(key: jax.Array, state: NFSPState, step: jax.Array) -> tuple[NFSPState, Metrics]:
        key_collect, key_reservoir, key_sample = jax.random.split(key, 3)
        before, after = step * steps_per_update, (step + 1) * steps_per_update
        epsilon = linear_epsilon(step, config, config.initial_epsilon)
        state, decisions, is_response, metrics = collect(key_collect, state, epsilon)
        pending, transitions, is_complete = own_transitions(state.pending, decisions, turns.signs)
        ring = add_where(state.replay, transitions, is_complete)
        responses = Response(decisions.observation, decisions.action)
        reservoir = add_to_reservoir(key_reservoir, state.reservoir, responses, is_response)
        keys = jax.random.split(key_sample, (2, config.gradient_steps))
        sampled = jax.vmap(replay.sample, (None, 0))(ring, keys[0]).experience
        imitation = jax.vmap(imitated.sample, (None, 0))(reservoir.buffer, keys[1]).experience
        # At most one transition of each player and game is pending, so M_RL has the others.
        params, opt_state, diagnostics = jax.lax.cond(
            after - num_players * config.num_envs >= least, learn, skip,
            state.params, state.opt_state, state.target_params, sampled, imitation, reservoir.seen,
        )  # fmt: skip
        is_due = after // config.target_period > before // config.target_period
        target_params = jax.lax.cond(is_due, lambda: params.response, lambda: state.target_params)
        metrics |= diagnostics | {"exploration/epsilon": epsilon, "reservoir/seen": reservoir.seen}
        state = dataclasses.replace(
            state,
            params=params,
            opt_state=opt_state,
            target_params=target_params,
            replay=ring,
            reservoir=reservoir,
            pending=pending,
        )
        return state, metrics

    def collect(
        key: jax.Array, state: NFSPState, epsilon: jax.Array
    ) -> tuple[NFSPState, Decisions, jax.Array, Metrics]:
        """T decisions in N games: (state, they [T, N], which were best responses, metrics of the games that ended)."""
        key_explore, key_draw, key_env = jax.random.split(key, 3)
        shape = (config.train_frequency, config.num_envs)
        explored, draws = (
            exploration(key_explore, shape, epsilon),
            jax.random.uniform(key_draw, (*shape, 1 + num_players)),
        )
        inputs = vector.draw(key_env, env_params, config.train_frequency)

        def decide(carry: Any, inputs_t: Any) -> tuple[Any, Any]:
            env_state, observation, responds = carry
            explored, draws, inputs = inputs_t
            seen, player = packing.view(observation), turns.player(observation, env_params)
            best = epsilon_greedy(explored, q_values(state.params.response, seen), turns.legal(seen, env_params))
            average = sample_index(jnp.exp(log_average(state.params.average, seen)), draws[:, 0])
            is_response = jnp.take_along_axis(responds, player[:, None], axis=1)[:, 0]
            action = jnp.where(is_response, best, average)
            env_state, out = vector.step(env_state, action, env_params, inputs)
            responds = jnp.where(out.done[:, None], draws[:, 1:] < config.anticipation, responds)
            decisions = Decisions(packing.pack(observation), action, player, out.reward, out.done)
            return (env_state, out.observation, responds), (decisions, is_response, out)

        carry, noise = (state.env, state.observation, state.responds), (explored, draws, inputs)
        (env_state, observation, responds), (decisions, is_response, steps) = jax.lax.scan(decide, carry, noise)
        state = dataclasses.replace(state, env=env_state, observation=observation, responds=responds)
        return state, decisions, is_response, episode_metrics(steps)

    def learn(
        params: Networks,
        opt_state: Networks,
        target_params: Any,
        sampled: Experience,
        imitation: Response,
        seen: jax.Array,
    ) -> tuple[Networks, Networks, Metrics]:
        """One gradient step a minibatch for each network; minibatches are [gradient_steps, B]. seen: best responses."""
        of_memory = lambda params, kept: q_values(params, packing.unpack(kept))  # noqa: E731
        td = td_learner(of_memory, optimizer, config.response_learning_rate, config)
        response, response_state, diagnostics = td(params.response, opt_state.response, target_params, sampled)
        imitate = gradient_step(imitation_loss, optimizer, config.average_learning_rate)
        is_enough = jnp.broadcast_to(seen >= least, config.gradient_steps)
        carry = (params.average, opt_state.average)
        (average, average_state), losses = jax.lax.scan(imitate, carry, (imitation, is_enough))
        diagnostics |= {"loss/average": jnp.mean(losses["loss/average"])}
        return Networks(response, average), Networks(response_state, average_state), diagnostics

    def imitation_loss(params: Any, batch: Response, is_enough: jax.Array) -> tuple[jax.Array, Metrics]:
        """Mean cross-entropy of Pi from what Q played; nothing, with no gradient, before there is enough of it."""
        log_pi = value_of(log_average(params, packing.unpack(batch.observation)), batch.action)
        # How many best responses there are differs by member: a condition would be a select under vmap.
        loss = -jnp.mean(log_pi)
        return jnp.where(is_enough, loss, 0.0), {"loss/average": jnp.where(is_enough, loss, jnp.nan)}

    def skip(params: Networks, opt_state: Networks, *rest: Any) -> tuple[Networks, Networks, Metrics]:
        return params, opt_state, dict.fromkeys(("loss/td", "value/mean", "loss/average"), jnp.full((), jnp.nan))

    def probabilities(state: NFSPState, observation: Any) -> jax.Array:
        return jnp.exp(log_average(state.params.average, packing.view(observation)))

    name, total, playing = "nfsp", config.total_updates, play_by(probabilities)
    info = AgentInfo(name, env, shown_params, config, steps_per_update, total, nfsp, policy=playing.policy)
    return Agent(init, update, playing.start, playing.act, info)
