"""SQIRL, Shallow Q-Iteration via Reinforcement Learning, in the form its authors experiment with.

Laidlaw, Zhu, Russell, Dragan, The Effective Horizon Explains Deep RL Performance in Stochastic Environments (ICLR 2024,
arXiv 2312.08369). The paper's text was not at hand: this follows its published program as described; the form of the
theory is `sqirl_theory`.

Every round learns the policy of one more step of an episode. It plays m episodes, greedily by what earlier rounds
froze for the first i steps, uniformly at random from there on; regresses Q^1, the value of random play, on the returns;
plans k - 1 steps on top of it by fitted Q-iteration, head j on head j - 1; and freezes the result: step i is played by
it from then on. Exploration is random and learning is regression: nothing else is needed where the effective horizon is
short.

Two regressors, which share all data of all steps:
    network    one Q-network with k heads, Q^1 ... Q^k, and a replay buffer; weights, buffer and optimiser persist
    table      means over all samples of a state and action: for environments whose observation is a state's number
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.observations import number_of_states, shows_number, state_number
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.episodes import Episodes, play_episodes, random_actions, returns_to_go, totals
from jaxrl_suite.learning.networks import ACTIVATIONS, TORSOS, Network, check_hidden_sizes, torso_of
from jaxrl_suite.learning.optimisation import clipped
from jaxrl_suite.learning.tabular import random_greedy, stored

PROGRAM = "the authors' published program"
PATIENCE = 10
"""Rounds in which nothing was random, after which a run stops."""


@struct.dataclass
class SQIRLConfig:
    """Settings of SQIRL. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(1e-4, "step size of Adam", symbol="alpha", source=PROGRAM, above=0)
    discount: float = sweepable(
        1.0,
        "discount factor; the program uses 0.99 on sticky gridworlds",
        symbol="gamma",
        source=PROGRAM,
        low=0,
        high=1,
    )
    max_grad_norm: float = sweepable(10.0, "limit on the global norm of the gradient", source=PROGRAM, above=0)
    loss_memory: float = sweepable(
        0.99, "decay of the running mean by which each head's loss is divided", source=PROGRAM, low=0, below=1
    )
    depth: int = static(1, "heads, Q^1 to Q^k: steps planned on top of random play", symbol="k", low=1)
    episodes: int = static(20, "episodes a round", symbol="m", unit="episodes", low=1)
    horizon: int = static(100, "steps of an episode, at which it ends at the latest", symbol="T", unit="steps", low=1)
    total_updates: int = static(111, "budget: rounds; T + 11 let it stop by itself", unit="rounds", low=1)
    max_env_steps: int = static(
        0, "stop after the round in which so many environment steps are reached; 0: never", unit="steps", low=0
    )
    regressor: str = static("network", "what is regressed with", choices=("network", "table"))
    batch_size: int = static(128, "samples a gradient step", symbol="B", source=PROGRAM, low=1)
    num_epochs: int = static(10, "gradient samples for each environment step of a round", source=PROGRAM, low=1)
    buffer_capacity: int = static(1_000_000, "transitions kept", source=PROGRAM, low=1)
    hidden_sizes: tuple[int, ...] = static((64, 64), "widths of the hidden layers", source=PROGRAM)
    activation: str = static("relu", "activation of the torso", source=PROGRAM, choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "fully connected, or one convolution of 16 channels first", choices=TORSOS)
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")

    def check(self) -> None:
        if self.buffer_capacity < self.episodes * self.horizon and self.regressor == "network":
            raise ConfigError(
                f"SQIRLConfig.buffer_capacity = {self.buffer_capacity}: must hold a round's "
                f"{self.episodes * self.horizon} transitions"
            )
        check_hidden_sizes("SQIRLConfig", self.hidden_sizes)


class Regressor(NamedTuple):
    """What SQIRL regresses with.

    init(key) -> memory: all that persists from round to round.
    learn(key, memory, round, step, is_over) -> (memory, metrics): regresses Q^1 ... Q^k with the data of round `step`
        (from 0). If the run is over, the round has no random step, and a memory that is large stays as it is.
    freeze(key, memory) -> policy: what one step of an episode is played by.
    act(policy, observations [..., ...]) -> actions [...]
    """

    init: Callable[..., Any]
    learn: Callable[..., Any]
    freeze: Callable[..., Any]
    act: Callable[..., Any]


class Round(NamedTuple):
    """A round's data: its episodes, their discounted returns G [T, m], which samples were followed by random play only
    (bool [T, m]), and the environment steps taken, L."""

    episodes: Episodes
    returns: jax.Array
    is_random: jax.Array
    steps: jax.Array


@struct.dataclass
class SQIRLState:
    """memory: of the regressor. policy: what it would freeze now. frozen: policies of steps 0 ... T - 1, [T, ...], as
    far as they are learned; rounds: how many that is. steps: environment steps taken; idle: rounds without a random
    step (all int32)."""

    memory: Any
    policy: Any
    frozen: Any
    rounds: jax.Array
    steps: jax.Array
    idle: jax.Array


def targets(returns: jax.Array, reward: jax.Array, done: jax.Array, next_heads: jax.Array, discount: Any) -> jax.Array:
    """y^1 ... y^k, [B, k]: the return for head 1, and for head j what head j - 1 promises after the reward.

    Args:
        next_heads: Q^1 ... Q^k of the next observation, [B, k, A].
    """
    promised = jnp.max(next_heads[:, :-1], axis=-1)
    planned = reward[:, None] + discount * jnp.where(done[:, None], 0.0, promised)
    return jax.lax.stop_gradient(jnp.concatenate([returns[:, None], planned], axis=-1))


def check_task(env: Any, env_params: Any, config: Any) -> None:
    """Refuses actions that are not discrete, and a table for observations that are no state's number."""
    if not hasattr(env.action_space(env_params), "n"):
        raise ConfigError(f"{env.id}: action space {env.action_space(env_params)}: must be discrete")
    if config.regressor == "table" and not shows_number(env, env_params):
        raise ConfigError(
            f"{type(config).__name__}.regressor = 'table': observations of {env.id} are no state's number or one-hot "
            "vector; make('table/…') writes small environments out"
        )


def finish(state: SQIRLState, is_over: jax.Array) -> SQIRLState:
    """Ends the run where `is_over`, as if it had been idle for too long."""
    return dataclasses.replace(state, idle=jnp.where(is_over, PATIENCE + 1, state.idle))


@agent_factory("sqirl", SQIRLConfig, check=check_task)
def sqirl(env: Any, env_params: Any, config: SQIRLConfig) -> Agent:
    """SQIRL on `env`. One update is one round: m episodes, regression, one more frozen step.

    `info.env_steps_per_update` is m T, the most that a round takes; the metric `steps/count` tells what it took, all
    steps counted, also those played greedily. A member finishes after `PATIENCE` rounds without a random step.
    """
    regressor = {"network": q_network, "table": q_table}[config.regressor](env, env_params, config)
    precision = "float64" if config.regressor == "table" else "float32"
    info = AgentInfo(
        "sqirl",
        env,
        env_params,
        config,
        config.episodes * config.horizon,
        config.total_updates,
        sqirl,
        precision=precision,
        # A replay buffer or a table of successors is much to copy.
        finish=finish,
    )
    return sqirl_agent(info, regressor, config.max_env_steps)


def sqirl_agent(info: AgentInfo, regressor: Regressor, max_env_steps: int = 0) -> Agent:
    """The rounds of SQIRL around a regressor.

    Args:
        info: its config has `episodes`, `horizon` and `discount`. max_env_steps: as in `SQIRLConfig`.
    """
    env, env_params, config = info.env, info.env_params, info.config
    num_actions = int(env.action_space(env_params).n)

    def init(key: jax.Array) -> SQIRLState:
        memory = regressor.init(key)
        policy = regressor.freeze(key, memory)
        frozen = jax.tree.map(lambda x: jnp.zeros((config.horizon, *x.shape), x.dtype), policy)
        none = jnp.zeros((), jnp.int32)
        return SQIRLState(memory, policy, frozen, none, none, none)

    def has_finished(idle: jax.Array, steps: jax.Array) -> jax.Array:
        is_spent = steps >= max_env_steps if max_env_steps else False
        return (idle > PATIENCE) | is_spent

    def update(key: jax.Array, state: SQIRLState, step: jax.Array) -> tuple[SQIRLState, Metrics]:
        key_play, key_explore, key_learn, key_freeze = jax.random.split(key, 4)
        # A finished run stores and learns nothing, and stays as it is.
        was_finished = has_finished(state.idle, state.steps)
        played = collect(key_play, key_explore, state, step)
        played = played._replace(is_random=played.is_random & ~was_finished)
        idle = jnp.where(jnp.any(played.is_random), 0, state.idle + 1 - was_finished).astype(jnp.int32)
        is_over = was_finished | (idle > PATIENCE)
        memory, diagnostics = regressor.learn(key_learn, state.memory, played, step, is_over)
        policy = regressor.freeze(key_freeze, memory)
        policy = jax.tree.map(lambda old, new: jnp.where(was_finished, old, new), state.policy, policy)

        def freeze(old: jax.Array, new: jax.Array) -> jax.Array:
            # Rounds beyond the last step have nothing left to freeze for.
            return old.at[step].set(jnp.where(was_finished, old[step], new), mode="drop")

        state = SQIRLState(
            memory=memory,
            policy=policy,
            frozen=jax.tree.map(freeze, state.frozen, policy),
            rounds=state.rounds + 1 - was_finished,
            steps=state.steps + jnp.where(was_finished, 0, played.steps),
            idle=idle,
        )
        metrics = totals(played.episodes) | diagnostics
        metrics |= {"stored/count": jnp.sum(played.is_random).astype(jnp.int32)}
        return state, metrics | {"finished": has_finished(state.idle, state.steps)}

    def collect(key_play: jax.Array, key_explore: jax.Array, state: SQIRLState, step: jax.Array) -> Round:
        """m episodes: frozen policies before in-episode step `step`, random actions from it on."""
        explored = random_actions(key_explore, (config.horizon, config.episodes), num_actions)

        def choose(t: jax.Array, observation: Any, noise: Any) -> jax.Array:
            explored_now, frozen = noise
            # One step for all members: only one side is computed.
            return jax.lax.cond(t < step, lambda: regressor.act(frozen, observation), lambda: explored_now)

        noise = (explored, state.frozen)
        episodes = play_episodes(key_play, env, env_params, choose, noise, config.episodes, config.horizon)
        is_random = episodes.is_alive & (jnp.arange(config.horizon) >= step)[:, None]
        steps = jnp.sum(episodes.is_alive).astype(jnp.int32)
        return Round(episodes, returns_to_go(episodes.reward, config.discount), is_random, steps)

    def start(key: jax.Array, state: SQIRLState) -> jax.Array:
        """The step of the episode."""
        return jnp.zeros((), jnp.int32)

    def act(key: jax.Array, state: SQIRLState, memory: jax.Array, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """Plays what was frozen for this step, and beyond it what was learned last. It explores nothing."""
        place = jnp.minimum(memory, config.horizon - 1)
        is_frozen = memory < jnp.minimum(state.rounds, config.horizon)
        policy = jax.tree.map(lambda old, new: jnp.where(is_frozen, old[place], new), state.frozen, state.policy)
        return regressor.act(policy, observation), memory + 1

    return Agent(init, update, start, act, info)


class Samples(NamedTuple):
    """Transitions and the returns that followed, leading axes [C] or [B]."""

    observation: Any
    action: jax.Array
    reward: jax.Array
    done: jax.Array
    next_observation: Any
    returns: jax.Array


class Replay(NamedTuple):
    """The last C samples, as a ring; `stored` counts all that were ever put in (int32)."""

    samples: Samples
    stored: jax.Array


class NetworkMemory(NamedTuple):
    """params, Adam's state, the running mean of each head's loss [k] (0 where there is none yet), the buffer."""

    params: Any
    opt_state: Any
    loss_scale: jax.Array
    replay: Replay


def q_network(env: Any, env_params: Any, config: SQIRLConfig) -> Regressor:
    """One network for all steps, which does not see the time; k heads of A outputs each."""
    num_actions, horizon = int(env.action_space(env_params).n), config.horizon
    torso = torso_of(config, env.observation_space(env_params))
    network = Network(torso, config.depth * num_actions, 1.0)
    optimizer = clipped(config.max_grad_norm, optax.scale_by_adam())
    # More is never stored: T (T + 1) / 2 samples an episode slot, and no round begins beyond the limit on steps.
    most = config.episodes * horizon * (horizon + 1) // 2
    if config.max_env_steps:
        most = min(most, config.max_env_steps + config.episodes * horizon)
    capacity = min(config.buffer_capacity, most)
    most_batches = math.ceil(config.episodes * horizon * config.num_epochs / config.batch_size)

    def heads(params: Any, observation: Any) -> jax.Array:
        """Q^1 ... Q^k, [..., k, A]."""
        outputs: Any = network.apply(params, (), observation)
        return outputs[1].reshape(*outputs[1].shape[:-1], config.depth, num_actions)

    def init(key: jax.Array) -> NetworkMemory:
        one = jax.eval_shape(env.reset, key, env_params)[0]
        params = network.init(key, (), jnp.zeros((1, *one.shape), one.dtype))
        number, seen = jnp.zeros(capacity), jnp.zeros((capacity, *one.shape), one.dtype)
        samples = Samples(seen, number.astype(jnp.int32), number, number.astype(bool), seen, number)
        replay = Replay(samples, jnp.zeros((), jnp.int32))
        return NetworkMemory(params, optimizer.init(params), jnp.zeros(config.depth), replay)

    def learn(key: jax.Array, memory: NetworkMemory, played: Round, step: jax.Array, is_over: jax.Array) -> Any:
        replay = store(memory.replay, played)
        batches = -(-played.steps * config.num_epochs // config.batch_size)
        batches = jnp.where(is_over | (replay.stored == 0), 0, batches)
        filled = jnp.minimum(replay.stored, capacity)
        uniform = jax.random.uniform(key, (most_batches, config.batch_size))
        chosen = jnp.minimum((uniform * filled).astype(jnp.int32), jnp.maximum(filled - 1, 0))
        learnt = small_products(train)(
            memory.params, memory.opt_state, memory.loss_scale, replay.samples, chosen, batches
        )
        params, opt_state, loss_scale, first, last = learnt
        metrics = {
            "loss/first": jnp.where(batches > 0, first, jnp.nan),
            "loss/last": jnp.where(batches > 0, last, jnp.nan),
            "gradient_steps/count": batches,
        }
        return NetworkMemory(params, opt_state, loss_scale, replay), metrics

    def train(params: Any, opt_state: Any, loss_scale: Any, samples: Samples, chosen: Any, batches: Any) -> Any:
        """Gradient steps on the batches `chosen` [., B], as many as `batches` says."""

        def loss(params: Any, scale: jax.Array, batch: Samples) -> tuple[jax.Array, jax.Array]:
            of_actions = jnp.take_along_axis(heads(params, batch.observation), batch.action[:, None, None], axis=-1)
            y = targets(batch.returns, batch.reward, batch.done, heads(params, batch.next_observation), config.discount)
            errors = jnp.mean((of_actions[..., 0] - y) ** 2, axis=0)
            mixed = config.loss_memory * scale + (1.0 - config.loss_memory) * jax.lax.stop_gradient(errors)
            scale = jnp.where(scale > 0, mixed, jax.lax.stop_gradient(errors))
            # A head that is exactly right has nothing to be divided by.
            scale = jnp.maximum(scale, SMALLEST_LOSS)
            return jnp.mean(errors / scale), scale

        def body(index: jax.Array, loop: Any) -> Any:
            params, opt_state, scale, first, _ = loop
            batch = jax.tree.map(lambda x: x[chosen[index]], samples)
            (value, scale), grads = jax.value_and_grad(loss, has_aux=True)(params, scale, batch)
            updates, opt_state = optimizer.update(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates)
            return params, opt_state, scale, jnp.where(index == 0, value, first), value

        none = jnp.zeros(())
        return jax.lax.fori_loop(0, batches, body, (params, opt_state, loss_scale, none, none))

    def store(replay: Replay, played: Round) -> Replay:
        episodes = played.episodes
        is_kept = played.is_random.ravel()
        place = replay.stored + jnp.cumsum(is_kept).astype(jnp.int32) - 1
        # Out of range is dropped.
        place = jnp.where(is_kept, place % capacity, capacity)
        new = Samples(*episodes[:-1], played.returns)

        def put(buffer: jax.Array, values: jax.Array) -> jax.Array:
            return buffer.at[place].set(values.reshape(-1, *buffer.shape[1:]).astype(buffer.dtype), mode="drop")

        count = jnp.sum(is_kept).astype(jnp.int32)
        return Replay(jax.tree.map(put, replay.samples, new), replay.stored + count)

    def freeze(key: jax.Array, memory: NetworkMemory) -> Any:
        return memory.params

    def act(params: Any, observation: Any) -> jax.Array:
        return jnp.argmax(heads(params, observation)[..., -1, :], axis=-1).astype(jnp.int32)

    return Regressor(init, learn, freeze, act)


SMALLEST_LOSS = 1e-20
"""Least running mean of a head's squared error."""


class TableMemory(NamedTuple):
    """Sums over samples of a state and action: their number, returns and rewards, [S, A]; and how many went on to each
    state, float32 [S, A, S], or [S, A, 0] where nothing is planned with it. q: Q^k, [S, A]."""

    count: jax.Array
    returns: jax.Array
    reward: jax.Array
    following: jax.Array
    q: jax.Array


def q_table(env: Any, env_params: Any, config: SQIRLConfig) -> Regressor:
    """Means over all samples of all steps; 0 where there are none. Ties are broken at random when a step is frozen."""
    num_states, num_actions = number_of_states(env, env_params), int(env.action_space(env_params).n)

    def init(key: jax.Array) -> TableMemory:
        zeros = jnp.zeros((num_states, num_actions))
        # By far the largest part: whole numbers, which float32 holds up to 16 million.
        following = jnp.zeros((num_states, num_actions, num_states if config.depth > 1 else 0), jnp.float32)
        return TableMemory(zeros, zeros, zeros, following, zeros)

    def learn(key: jax.Array, memory: TableMemory, played: Round, step: jax.Array, is_over: jax.Array) -> Any:
        episodes, one = played.episodes, played.is_random.astype(played.returns.dtype)
        here, following = state_number(episodes.observation), state_number(episodes.next_observation)
        pair = (here, episodes.action)
        count = memory.count.at[pair].add(one)
        returns = memory.returns.at[pair].add(one * played.returns)
        reward = memory.reward.at[pair].add(one * episodes.reward)
        samples = jnp.maximum(count, 1.0)
        q, follows = returns / samples, memory.following
        if config.depth > 1:
            goes_on = jnp.where(episodes.done, 0.0, one).astype(follows.dtype)
            follows = stored(follows.at[(*pair, following)].add(goes_on))
        for _ in range(config.depth - 1):
            # As a sum of products XLA runs it along the rows; a batch of matrix-vector products is slower.
            promised = jnp.sum(follows * jnp.max(q, axis=-1), axis=-1)
            q = (reward + config.discount * promised) / samples
        return TableMemory(count, returns, reward, follows, q), {}

    def freeze(key: jax.Array, memory: TableMemory) -> jax.Array:
        return random_greedy(key, memory.q).astype(jnp.int8)

    return Regressor(init, learn, freeze, act_by_table)


def act_by_table(policy: jax.Array, observation: jax.Array) -> jax.Array:
    """int32 actions of a policy int8 [S]."""
    return policy[state_number(observation)].astype(jnp.int32)
