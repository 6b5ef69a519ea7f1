"""An agent is a handful of pure functions. Read this page first.

    config, env params --> Agent --> init --> update --> update --> ...      one seed
                                     vmap over seeds x settings              many members
                                     shard over devices                      many machines

`update` is one iteration of whatever the algorithm iterates: a rollout and a learning step, an episode, a block of an
outer loop. The runner (`jaxrl_suite.training`) scans it, batches it over members, saves it and can be killed at any
moment; nothing in an agent knows of files, devices, logging or arguments.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxrl_suite.config import validate

State = Any
"""One pytree of arrays: everything that must survive a crash. Floating leaves are never NaN in a healthy member."""

Memory = Any
"""One episode's memory of a playing agent (hidden state, stage, belief); `()` where there is none."""

Metrics = dict[str, jax.Array]
"""Flat dict of fixed-shape arrays, names with slashes (`episode/return`), NaN where there is none.

Reserved names:
    episode/return, episode/length: means over the episodes that ended in this update; NaN where none ended.
    episode/count: how many ended. The runner weights the two above by it.
    finished: bool; once true, the member is frozen, and a run ends when all members are.
"""


class Environment(Protocol):
    """What an agent and the runner ask of an environment: gymnax 1.0's `reset` and `step`, and a step without reset.

    `jaxrl_suite.envs.make` and `jaxrl_suite.envs.adapt` return such objects. They hash by identity and are cached, so
    equal ids are the same object and compile once.
    """

    id: str

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]: ...

    def step(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any, dict]: ...

    def transition(self, key: jax.Array, state: Any, action: Any, params: Any) -> tuple[Any, Any, Any, Any, Any]: ...

    def observation_space(self, params: Any) -> Any: ...

    def action_space(self, params: Any) -> Any: ...


class Transition(NamedTuple):
    """What one environment step produced, as learners see it. Leading axes are the caller's (time, environments).

    observation: what the agent saw when it chose `action`.
    reward: float. terminated, truncated: bool, and not the same: learners bootstrap through truncation, never
        through termination.
    next_observation: the observation after the step and before any automatic reset.
    """

    observation: Any
    action: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_observation: Any


@dataclasses.dataclass(frozen=True, eq=False)
class AgentInfo:
    """Static facts about an agent.

    Attributes:
        name: name of the algorithm, as on the command line.
        env: the environment it learns in; `env_params` are its parameters (a pytree of numbers).
        config: the algorithm's configuration.
        env_steps_per_update: environment steps that one `update` takes, over all parallel environments.
        total_updates: the budget over which schedules run.
        factory: the function that made this agent: `factory(env, env_params, config)`. The runner calls it again
            with traced numbers, which is how settings are swept without recompiling.
        host_stepped: True if `update` cannot be compiled and must be called plainly.
        precision: "float32", or "float64" for tabular agents: the runner computes in it, and casts configs to it.
        finish: `finish(state, is_over) -> state` marks the member as finished where `is_over`; from then on, and after
            it has reported `finished`, `update` leaves its state as it is. None: the runner sees to it, by a copy of
            the state in every update, which agents that keep much and can finish had better do without.
        shards: parts that its environments come in, see `shards.py`. split: whether each part of the state, as a prefix
            tree of bools, has an axis of shards in front; None where nothing is split.
        policy: `policy(state, memory, observation) -> (probabilities [A], memory)`, what `act` samples from where it is
            not greedy; None where there is no such distribution. Search asks for it.
    """

    name: str
    env: Any
    env_params: Any
    config: Any
    env_steps_per_update: int
    total_updates: int
    factory: Callable[..., "Agent"]
    host_stepped: bool = False
    precision: str = "float32"
    finish: Callable[[State, jax.Array], State] | None = None
    policy: Callable[[State, Memory, Any], tuple[jax.Array, Memory]] | None = None
    shards: int = 1
    split: Any = None

    @property
    def env_id(self) -> str:
        return self.env.id


ON_ONE_DEVICE: dict[str, Any] = {"shards": 1, "split": None}
"""For the info of an agent around another: whatever its shards, they stay on its member's device."""


class Agent(NamedTuple):
    """An algorithm as a value. All functions are pure and see one member; batching is the caller's `vmap`.

    init(key) -> State
    update(key, state, step) -> (State, Metrics): one iteration. `step` is one unbatched int32, the index of this
        update, so that "every k updates" really skips work under `vmap`.
    start(key, state) -> Memory: memory at the start of an episode.
    act(key, state, memory, observation, greedy) -> (Action, Memory): plays one step; `greedy` is a Python bool.
    info: AgentInfo
    """

    init: Callable[[jax.Array], State]
    update: Callable[[jax.Array, State, jax.Array], tuple[State, Metrics]]
    start: Callable[[jax.Array, State], Memory]
    act: Callable[[jax.Array, State, Memory, Any, bool], tuple[Any, Memory]]
    info: AgentInfo


def agent_factory(
    name: str, config_class: type, check: Callable[[Any, Any, Any], Any] | None = None
) -> Callable[[Callable[..., Agent]], Callable[..., Agent]]:
    """Decorates `factory(env, env_params, config) -> Agent`: the same arguments give the same Agent object.

    Args:
        check: called on the host as `check(env, env_params, config)` with concrete values, after the config's own
            validation; raises ConfigError for what the config alone cannot know.

    Functions of one Agent object are the same objects too, so JAX's own caches hold. With traced numbers (inside a
    sweep) nothing is cached. The decorated factory carries `agent_name` and `config_class`.
    """

    def decorate(build: Callable[..., Agent]) -> Callable[..., Agent]:
        cache: dict[Any, Agent] = {}

        @functools.wraps(build)
        def factory(env: Any, env_params: Any, config: Any = None) -> Agent:
            config = config_class() if config is None else config
            leaves, structure = jax.tree.flatten((env_params, config))
            if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
                return build(env, env_params, config)
            if check is not None:
                validate(config)
                check(env, env_params, config)
            values = tuple((np.asarray(leaf).dtype.str, np.shape(leaf), np.asarray(leaf).tobytes()) for leaf in leaves)
            cache_key = (env, structure, values)
            if cache_key not in cache:
                cache[cache_key] = build(env, env_params, config)
            return cache[cache_key]

        factory.agent_name = name  # type: ignore[attr-defined]
        factory.config_class = config_class  # type: ignore[attr-defined]
        factory.check = check  # type: ignore[attr-defined]
        return factory

    return decorate
