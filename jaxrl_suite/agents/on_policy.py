"""What actor-critics that learn from their own rollouts share: networks, the rollout with its advantages, play.

Only the policy runs inside the rollout's loop; values and log-probabilities are computed afterwards for the whole
rollout at once, which gives the same numbers with far fewer small operations.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite import shards
from jaxrl_suite.agent import Metrics
from jaxrl_suite.config import static
from jaxrl_suite.envs.normalize import NormalizeObservations, ScaleRewards, VectorEnvironment
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.advantages import gae, turn_gae
from jaxrl_suite.learning.distributions import Categorical, Policy, policy_for
from jaxrl_suite.learning.local_updates import NEVER
from jaxrl_suite.learning.networks import TORSOS, Network, torso_of
from jaxrl_suite.learning.recurrence import PerPlayer, Recurrent, has_memory, reset_memory, unroll


@struct.dataclass
class OnPolicyConfig:
    """What such agents can be switched to. Their numbers are in configs of their own."""

    torso: str = static("mlp", "torso of both networks", choices=(*TORSOS, "gru"))
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    squash: bool = static(False, "tanh-squashed instead of clipped Gaussian actions (continuous actions only)")
    normalize_observations: bool = static(False, "running normalisation of observations, clipped at 10")
    scale_rewards: bool = static(
        False, "divide rewards by the running deviation of the discounted return, clipped at 10"
    )
    truncation_is_termination: bool = static(
        False, "treat a time limit as an end, as the published gymnax numbers did; biases the value"
    )
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )
    data_shards: int = static(
        1, "parts of the environments, with random numbers of their own, that devices can share (see shards.py)", low=1
    )


class Params(NamedTuple):
    actor: Any
    critic: Any


@struct.dataclass
class OnPolicyState:
    """params and optimiser state; the environments and what they show, [N, ...]; both networks' memories.

    With shards the latter three are [shard, N / shards, ...].
    """

    params: Params
    opt_state: Any
    env: Any
    observation: Any
    memory: Params


SPLIT = OnPolicyState(False, False, True, True, True)  # type: ignore[arg-type]
"""What shards have of their own."""


class Batch(NamedTuple):
    """Samples to learn from; leading axes [T, N], or those of a minibatch."""

    observation: Any
    action: jax.Array
    outputs: Any
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    done: jax.Array


class Parts(NamedTuple):
    """What an agent is put together from.

    collect(key, state) -> (state, Batch, metrics): a rollout of T steps in N environments.
    evaluate(params, memory, batch) -> (the policy's outputs, values): of a batch's observations.
    start, act: as in `Agent`. probabilities: `AgentInfo.policy`, None where actions are not counted.
    """

    policy: Policy
    actor: Recurrent
    critic: Recurrent
    init: Callable[..., OnPolicyState]
    collect: Callable[..., tuple[OnPolicyState, Batch, Metrics]]
    evaluate: Callable[..., tuple[Any, jax.Array]]
    start: Callable[..., Any]
    act: Callable[..., tuple[Any, Any]]
    probabilities: Callable[..., tuple[jax.Array, Any]] | None


def on_policy_parts(env: Any, env_params: Any, config: Any, optimizer: Any) -> Parts:
    """The parts for `env`.

    Args:
        config: an `OnPolicyConfig` with num_envs, rollout_length, hidden_sizes, activation, discount and gae_lambda.
    """
    num_envs = config.num_envs // config.data_shards
    vector, turns = _vector_env(env, config, num_envs), turns_of(env, config)
    policy = policy_for(env.action_space(env_params), config.squash)
    actor, critic = networks(env, env_params, policy, config)

    def init(key: jax.Array) -> OnPolicyState:
        key_env, key_actor, key_critic = jax.random.split(key, 3)
        observation, env_state = vector.reset(shards.own_key(key_env), env_params)
        memory = Params(*(network.initial_memory((num_envs,)) for network in (actor, critic)))
        params = Params(
            actor.init(key_actor, memory.actor, observation), critic.init(key_critic, memory.critic, observation)
        )
        return OnPolicyState(params, optimizer.init(params), env_state, observation, memory)

    def collect(key: jax.Array, state: OnPolicyState) -> tuple[OnPolicyState, Batch, Metrics]:
        key_noise, key_env = jax.random.split(key)
        noise = policy.noise(key_noise, (config.rollout_length, num_envs))
        inputs = vector.draw(key_env, env_params, config.rollout_length)

        def act_and_step(carry: Any, inputs_t: Any) -> tuple[Any, Any]:
            env_state, observation, memory = carry
            memory, outputs = actor.apply(state.params.actor, memory, observation)
            outputs = allowed(outputs, observation)
            action = policy.sample(outputs, inputs_t[0])
            env_state, out = vector.step(env_state, policy.to_env(action), env_params, inputs_t[1])
            memory = reset_memory(actor, out.done, memory)
            return (env_state, out.observation, memory), (observation, action, outputs, out)

        carry = (state.env, state.observation, state.memory.actor)
        carry, (observation, action, outputs, steps) = jax.lax.scan(act_and_step, carry, (noise, inputs))
        value, next_value, critic_memory = values(state.params.critic, state.memory.critic, observation, steps)
        advantage = advantages(observation, value, next_value, steps)
        batch = Batch(observation, action, outputs, policy.log_prob(outputs, action), value, advantage, steps.done)
        env_state, observation, actor_memory = carry
        state = dataclasses.replace(
            state, env=env_state, observation=observation, memory=Params(actor_memory, critic_memory)
        )
        return state, batch, episode_metrics(steps)

    def advantages(observation: Any, value: jax.Array, next_value: jax.Array, steps: Any) -> jax.Array:
        rates = (config.discount, config.gae_lambda)
        if turns is None:
            terminated = steps.done if config.truncation_is_termination else steps.terminated
            return gae(steps.reward, value, next_value, terminated, steps.truncated, *rates)
        last = jax.tree.map(lambda x: x[-1], steps.final_observation)
        players = turns.player(observation, env_params), turns.player(last, env_params)
        return turn_gae(steps.reward, value, next_value[-1], *players, steps.done, turns.signs, *rates)

    def allowed(outputs: Any, observation: Any) -> Any:
        """The policy's outputs, illegal actions as good as impossible."""
        return outputs if turns is None else jnp.where(turns.legal(observation, env_params), outputs, NEVER)

    def values(params: Any, memory: Any, observation: Any, steps: Any) -> tuple[jax.Array, jax.Array, Any]:
        """V of each observation and of what each step itself led to, both [T, N], and the critic's last memory."""
        value, memories, last = unroll(critic, params, memory, observation, steps.done)
        next_outputs: Any = critic.apply(params, memories, steps.final_observation)
        return value[..., 0], next_outputs[1][..., 0], last

    def evaluate(params: Params, memory: Params, batch: Batch) -> tuple[Any, jax.Array]:
        outputs, _, _ = unroll(actor, params.actor, memory.actor, batch.observation, batch.done)
        value, _, _ = unroll(critic, params.critic, memory.critic, batch.observation, batch.done)
        return allowed(outputs, batch.observation), value[..., 0]

    def start(key: jax.Array, state: OnPolicyState) -> Any:
        return actor.initial_memory(())

    def outputs_of(state: OnPolicyState, memory: Any, observation: Any) -> tuple[Any, Any]:
        seen = vector.observe(state.env, observation)
        memory, outputs = actor.apply(state.params.actor, memory, seen)
        return allowed(outputs, seen), memory

    def act(key: jax.Array, state: OnPolicyState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        outputs, memory = outputs_of(state, memory, observation)
        action = policy.mode(outputs) if greedy else policy.sample(outputs, policy.noise(key, ()))
        return policy.to_env(action), memory

    def probabilities(state: OnPolicyState, memory: Any, observation: Any) -> tuple[jax.Array, Any]:
        outputs, memory = outputs_of(state, memory, observation)
        return jax.nn.softmax(outputs), memory

    is_discrete = isinstance(policy, Categorical)
    return Parts(policy, actor, critic, init, collect, evaluate, start, act, probabilities if is_discrete else None)


def in_shards(init: Any, update: Any, config: Any) -> tuple[Any, Any]:
    """An agent's `init` and `update` of one shard, for all of them."""
    axes = jax.tree.map(lambda is_split: 0 if is_split else None, SPLIT)
    first = shards.over_shards(init, config.data_shards, None, axes)
    return first, shards.over_shards(update, config.data_shards, (None, axes, None), (axes, None))


def about(config: Any, parts: Parts) -> dict[str, Any]:
    """What `AgentInfo` says of the shards, and of the policy."""
    split = SPLIT if config.data_shards > 1 else None
    return {"policy": parts.probabilities, "shards": config.data_shards, "split": split}


def check_shards(config: Any) -> None:
    """Raises ConfigError for environments that cannot be cut so, or statistics that are of one shard only."""
    name, count = type(config).__name__, config.data_shards
    if config.num_envs % count:
        raise ConfigError(f"{name}.data_shards = {count}: must divide num_envs = {config.num_envs}")
    for field in ("normalize_observations", "scale_rewards"):
        if count > 1 and getattr(config, field):
            raise ConfigError(f"{name}.{field} = True: must be False with data_shards = {count}")


def turns_of(env: Any, config: Any) -> Any:
    """Whose turn it is and what is legal, where the environment is a game (see `envs.game_env.Turns`), else None.

    Raises ConfigError for settings that would hide it, or count a game's end wrongly.
    """
    turns = getattr(env, "turns", None)
    for name in ("normalize_observations", "scale_rewards"):
        if turns is not None and getattr(config, name):
            raise ConfigError(f"{type(config).__name__}.{name} = True: must be False in a game")
    return turns


def _vector_env(env: Any, config: Any, num_envs: int) -> VectorEnvironment:
    vector: VectorEnvironment = VectorEnv(env, num_envs, config.reset_pool)
    if config.normalize_observations:
        vector = NormalizeObservations(vector)
    if config.scale_rewards:
        vector = ScaleRewards(vector, config.discount)
    return vector


def networks(env: Any, env_params: Any, policy: Policy, config: Any) -> tuple[Recurrent, Recurrent]:
    """Policy and value network, each with a torso of its own; head gains 0.01 and 1.

    In a game, those with memory have one for each player.
    """
    torso, turns = torso_of(config, env.observation_space(env_params)), turns_of(env, config)
    both = Network(torso, policy.num_outputs, 0.01, policy.has_log_std), Network(torso, 1, 1.0)
    if turns is None or not has_memory(both[0]):
        return both
    players = len(turns.signs)
    return tuple(PerPlayer(each, lambda seen: turns.player(seen, env_params), players) for each in both)  # type: ignore[return-value]
