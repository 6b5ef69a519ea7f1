"""QARL, quantal adversarial RL by a curriculum of rationality, and what it is held against.

Reddi et al., Robust Adversarial Reinforcement Learning via Bounded Rationality Curricula, ICLR 2024 (arXiv 2311.01642).
One update is one iteration:

    1  temperatures alpha_1, ..., alpha_E ~ Gamma(k, rho), one an episode; both players see theirs
    2  the adversary's phase: E episodes against the protagonist as it is; only the adversary stores and learns, each
       transition with the temperature it was made at
    3  the protagonist's phase: E new episodes with the same temperatures; only it stores and learns
    4  discounted returns of all 2 E episodes, with their temperatures, go to the teacher, who moves k when there are
       enough (`learning/rationality.py`)

The last players are what is learned; the protagonist is judged with temperature 0. `adversary` names the others: SAC
(none), robust adversarial RL (soft: Pinto et al. 2017, arXiv 1703.02702, with soft actor-critics), and the paper's
curriculum of forces (capped).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import replaced, skipped
from jaxrl_suite.agents.soft_player import PlayerLearned, soft_player
from jaxrl_suite.agents.two_player import (
    CODE,
    Side,
    TwoPlayerConfig,
    check_pushed,
    observed,
    phase_metrics,
    phases,
)
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.adversaries import PushedBodies
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.rationality import (
    LOWEST_TEMPERATURE,
    force_of_temperature,
    linear_temperature,
    point_step,
    teacher_step,
)
from jaxrl_suite.precision import float64

ADVERSARIES = ("quantal", "soft", "capped", "none")
CURRICULA = ("automatic", "shared", "point", "linear")


@struct.dataclass
class QARLConfig(TwoPlayerConfig):
    """Settings of QARL and of what it is held against. Floats can be swept; everything else selects a program."""

    first_shape: float = sweepable(50.0, "of the temperatures' Gamma", symbol="k_0", source=CODE, low=1)
    target_shape: float = sweepable(1.0, "at most the first", symbol="k*", source=CODE, above=0)
    rate: float = sweepable(1000.0, "of the Gamma: a temperature is k / rho in the mean", symbol="rho", above=0)
    largest_divergence: float = sweepable(0.5, "of the Gamma in a step", symbol="epsilon", source=CODE, above=0)
    threshold: float = sweepable(10.0, "on discounted returns, for the curriculum to go on", symbol="xi", source=CODE)
    point_size: float = sweepable(
        1e-3, "step of a single temperature, where the curriculum is one", source=CODE, above=0
    )
    input_scale: float = sweepable(1.0, "factor on the temperature that networks see", source=CODE, above=0)
    adversary: str = static(
        "quantal",
        "who it is: of the curriculum's temperature; of its own, learned (robust adversarial RL); the same, its force "
        "capped by the curriculum; nobody (SAC)",
        source=CODE, choices=ADVERSARIES,
    )  # fmt: skip
    curriculum: str = static(
        "automatic",
        "of temperatures: the teacher's; the same, one draw for all episodes; one temperature that falls while returns "
        "are above the threshold; one that falls in any case",
        source=CODE, choices=CURRICULA,
    )  # fmt: skip
    homogeneous: bool = static(False, "the protagonist has the curriculum's temperature, too", source=CODE)
    self_normalised: bool = static(False, "the teacher's weights are divided by their sum", source=CODE)
    teacher_samples: int = static(30, "returns the teacher waits for", unit="episodes", source=CODE, low=2)

    def check(self) -> None:
        super().check()
        if not jnp.all(jnp.asarray(self.target_shape) <= jnp.asarray(self.first_shape)):
            raise ConfigError(
                f"QARLConfig.target_shape = {self.target_shape}: must be <= first_shape = {self.first_shape}"
            )
        if self.homogeneous and self.adversary != "quantal":
            raise ConfigError(f"QARLConfig.homogeneous: must be false with adversary = {self.adversary!r}")


@struct.dataclass
class Pair:
    """What each of the two has learned."""

    protagonist: PlayerLearned
    adversary: PlayerLearned


@struct.dataclass
class QARLState:
    """learned: of both. memories: of their transitions, the protagonist's first. shape: k. point: a single temperature.
    temperatures, returns: what the teacher has seen since it last moved, [n]."""

    learned: Pair
    memories: tuple[Any, ...]
    shape: jax.Array
    point: jax.Array
    temperatures: jax.Array
    returns: jax.Array


def _check(env: Any, env_params: Any, config: QARLConfig) -> None:
    check_pushed("qarl", env, env_params, config)


@agent_factory("qarl", QARLConfig, _check)
def qarl(env: Any, env_params: Any, config: QARLConfig) -> Agent:
    """QARL on an environment that can be pushed. It acts as the protagonist alone."""
    agent, _ = _pair(env, env_params, config)
    return agent


@functools.lru_cache(maxsize=32)
def opposed(agent: Agent) -> Agent:
    """QARL's agent that acts as both players do, at temperature 0, in the arena where the adversary pushes.

    Raises:
        ConfigError: for another agent, or one without an adversary.
    """
    if not isinstance(agent.info.config, QARLConfig) or agent.info.config.adversary == "none":
        raise ConfigError(f"opposed: {agent.info.name}: must be QARL's agent with an adversary")
    return _pair(agent.info.env, agent.info.env_params, agent.info.config)[1]


def _pair(env: Any, env_params: Any, config: QARLConfig) -> tuple[Agent, Agent]:
    """(the agent, the same one acting as both)."""
    arena: Any = PushedBodies(env)
    is_alone, is_capped = config.adversary == "none", config.adversary == "capped"
    contexts = int(config.adversary in ("quantal", "capped"))
    inputs = env.observation_space(env_params).shape[0] + contexts
    given = "given" if config.adversary == "quantal" else "own"
    protagonist = soft_player(arena.actions, inputs, config, "given" if config.homogeneous else "own")
    adversary = soft_player(arena.pushes, inputs, config, given)
    played = 1 if is_alone else 2
    # Pairs that the teacher gets in an iteration, and after how many iterations it has enough.
    pairs = played * config.episodes
    period = -(-config.teacher_samples // pairs)

    def pushed(learned: Pair, noise: jax.Array | None, z: jax.Array, context: jax.Array) -> jax.Array:
        push = adversary.act(learned.adversary, noise, z)
        return jnp.clip(push, -context, context) if is_capped else push

    def choose(learned: Pair, noise: jax.Array, z: jax.Array, context: jax.Array) -> jax.Array:
        own = protagonist.act(learned.protagonist, noise[..., : arena.actions], z)
        if is_alone:
            return own
        return jnp.concatenate([own, pushed(learned, noise[..., arena.actions :], z, context)], axis=-1)

    def protagonists(batch: Any) -> Any:
        return batch._replace(action=batch.action[..., : arena.actions])

    def adversarys(batch: Any) -> Any:
        return batch._replace(action=batch.action[..., arena.actions :], reward=-batch.reward)

    def protagonist_fit(learned: Pair, key: jax.Array, batch: Any, with_actor: jax.Array) -> tuple[Pair, Metrics]:
        known, found = protagonist.fit(learned.protagonist, key, batch, with_actor)
        return replaced(learned, protagonist=known), found

    def adversary_fit(learned: Pair, key: jax.Array, batch: Any, with_actor: jax.Array) -> tuple[Pair, Metrics]:
        known, found = adversary.fit(learned.adversary, key, batch, with_actor)
        return replaced(learned, adversary=known), found

    noises = arena.actions + (0 if is_alone else arena.pushes)
    sides = (Side(choose, protagonists, protagonist_fit), Side(choose, adversarys, adversary_fit))
    where = env if is_alone else arena
    turns = [phases(where, env_params, config, side, noises, contexts) for side in sides[:played]]

    def init(key: jax.Array) -> QARLState:
        keys = jax.random.split(key)
        learned = Pair(protagonist.new(keys[0]), adversary.new(keys[1]))
        first = config.first_shape * jnp.ones(())
        waiting = jnp.zeros((period, pairs))
        return QARLState(learned, tuple(turn.memory() for turn in turns), first, first / config.rate, waiting, waiting)

    def update(key: jax.Array, state: QARLState, step: jax.Array) -> tuple[QARLState, Metrics]:
        key_draw, key_adversary, key_protagonist = jax.random.split(key, 3)
        temperatures = drawn(key_draw, state, step)
        context = seen(temperatures)[:, None] if contexts else jnp.zeros((config.episodes, 0))
        learned, memories, results = state.learned, list(state.memories), []
        for side, key_phase in ((1, key_adversary), (0, key_protagonist))[2 - played :]:
            learned, memories[side], result = turns[side].run(key_phase, step, learned, memories[side], context)
            results.append(result)
        slot, found = step % period, jnp.concatenate([result.discounted for result in results])
        state = replaced(
            state,
            learned=learned,
            memories=tuple(memories),
            temperatures=state.temperatures.at[slot].set(jnp.tile(temperatures, played)),
            returns=state.returns.at[slot].set(found),
        )
        if not contexts:
            return state, measured(results)
        taught = {}
        if config.curriculum != "linear":
            state, taught = jax.lax.cond(slot == period - 1, teach, skipped(teach), state)
        given = {"temperature/given": jnp.mean(temperatures), "teacher/shape": state.shape}
        return state, measured(results) | taught | given

    def drawn(key: jax.Array, state: QARLState, step: jax.Array) -> jax.Array:
        """alpha, [E]."""
        if config.curriculum == "point":
            return jnp.full(config.episodes, state.point)
        if config.curriculum == "linear":
            return jnp.full(config.episodes, linear_temperature(step, config.total_updates))
        count = 1 if config.curriculum == "shared" else config.episodes
        found = jax.random.gamma(key, state.shape, (count,)) / config.rate
        return jnp.broadcast_to(jnp.maximum(found, LOWEST_TEMPERATURE), (config.episodes,))

    def seen(temperatures: jax.Array) -> jax.Array:
        """What is told of temperatures [...]: themselves, or the cap on the adversary's action."""
        return force_of_temperature(temperatures, 1.0) if is_capped else config.input_scale * temperatures

    def teach(state: QARLState) -> tuple[QARLState, Metrics]:
        if config.curriculum == "point":
            point = point_step(state.point, state.returns, config.threshold, config.point_size)
            return replaced(state, point=point), {"teacher/return": jnp.mean(state.returns)}
        with float64():
            given = (state.shape, state.temperatures.ravel(), state.returns.ravel())
            limits = (config.threshold, config.target_shape, config.largest_divergence, config.rate)
            wide = [jnp.asarray(x, jnp.float64) for x in (*given, *limits)]
            step = teacher_step(*wide, self_normalised=config.self_normalised)
            step = jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.float32), step)
        taught = {"teacher/return": step.mean_return, "teacher/predicted": step.predicted}
        taught |= {"teacher/weight": step.mean_weight, "teacher/samples": step.effective_samples}
        return replaced(state, shape=step.shape), taught

    def measured(results: list[Any]) -> Metrics:
        others = {} if is_alone else results[0].diagnostics | {"return": jnp.mean(results[0].returns)}
        return phase_metrics(results[-1]) | {f"adversary/{name}": x for name, x in others.items()}

    # Judged as if the adversary were fully rational, or at its full force.
    judged_at = jnp.full((contexts,), 1.0 if is_capped else 0.0)

    def start(key: jax.Array, state: QARLState) -> Any:
        return ()

    def act(key: jax.Array, state: QARLState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        noise = None if greedy else jax.random.normal(key, (arena.actions,))
        return protagonist.act(state.learned.protagonist, noise, observed(observation, judged_at)), memory

    def act_both(key: jax.Array, state: QARLState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        keys, z = jax.random.split(key), observed(observation, judged_at)
        own, _ = act(keys[0], state, memory, observation, greedy)
        noise = None if greedy else jax.random.normal(keys[1], (arena.pushes,))
        return jnp.concatenate([own, pushed(state.learned, noise, z, judged_at)]), memory

    steps = played * config.episodes * config.episode_steps
    info = AgentInfo("qarl", env, env_params, config, steps, config.total_updates, qarl)
    agent = Agent(init, update, start, act, info)
    return agent, agent._replace(act=act_both, info=dataclasses.replace(info, env=arena))
