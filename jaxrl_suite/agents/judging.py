"""A judge at an agent's side: while it learns, the exact value of its greedy policy, on a table of its environment."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import ON_ONE_DEVICE, Agent, Metrics, agent_factory
from jaxrl_suite.envs.enumeration import enumerate_env
from jaxrl_suite.envs.params import fingerprint
from jaxrl_suite.envs.successors import SuccessorMDP
from jaxrl_suite.envs.tabular import NumberedStates, TabularMDP
from jaxrl_suite.envs.wrappers import StickyActions
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.solvers.effective_horizon import planning_values
from jaxrl_suite.solvers.plans import plan_return

SOLVED = 0.01
"""A policy solves its task if it lacks no more than this part of what the best has over random play."""


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """What a task's policies are judged by. It hashes by identity.

    mdp: the task without sticky actions. observations: what each state shows, [S, ...]. repeat_probability: of sticky
    actions. best, random: exact values of the best policy and of random play; with sticky actions the best sees the
    action executed last, which agents do not.
    """

    mdp: SuccessorMDP
    observations: Any
    repeat_probability: float
    best: float
    random: float

    @property
    def threshold(self) -> float:
        return self.best - SOLVED * (self.best - self.random)


class JudgedState(NamedTuple):
    """agent: the agent's own state. steps: environment steps so far, int32. solved: at how many of them it was first
    seen to solve its task, 0 if never yet, int32. finished: bool, nothing of this changes any more."""

    agent: Any
    steps: jax.Array
    solved: jax.Array
    finished: jax.Array


_judges: dict[Any, Judge] = {}


def judge_of(env: Any, env_params: Any, horizon: int | None = None) -> Judge:
    """The judge of a small environment, plain or in `StickyActions`: its table, written out if need be. The same
    arguments give the same judge.

    Raises:
        ConfigError: for one that cannot be written out (see `enumerate_env`), or whose episodes have no longest length.
    """
    arguments = (env, fingerprint(env_params, env.id), horizon)
    if arguments not in _judges:
        _judges[arguments] = _judge(env, env_params, horizon)
    return _judges[arguments]


def _judge(env: Any, env_params: Any, horizon: int | None) -> Judge:
    repeat_probability = 0.0
    if isinstance(env, StickyActions):
        repeat_probability = float(env_params.stick_probability)
        env, env_params = env.env, env_params.env
    horizon = getattr(env_params, "max_steps_in_episode", None) if horizon is None else horizon
    if horizon is None:
        raise ConfigError(f"{env.id}: horizon: must be given, its episodes have no longest length")
    mdp, observations = _table(env, env_params, int(horizon))
    judged = mdp.sticky(repeat_probability) if repeat_probability else mdp
    values = planning_values(judged)
    best, random = (float(judged.initial @ x[0]) for x in (values.best, values.random))
    return Judge(mdp, observations, repeat_probability, best, random)


def _table(env: Any, env_params: Any, horizon: int) -> tuple[SuccessorMDP, Any]:
    if not isinstance(env, NumberedStates):
        found = enumerate_env(env, env_params, horizon)
        # The end is looked up as any state: whatever it shows is never acted on.
        observations = jax.tree.map(lambda x: np.concatenate([x, x[:1]]), found.observations)
        return found.mdp, observations
    numbers = jnp.arange(env_params.num_states)
    observations = np.asarray(jax.vmap(lambda s: env.observe(s, env_params))(numbers))
    if not isinstance(env_params, TabularMDP):
        return env_params, observations
    if env_params.is_staged:
        raise ConfigError(f"{env.id}: depends on the stage: make('table/{env.id}') has a state for each stage")
    return SuccessorMDP.from_tabular(env_params.replace(horizon=horizon)), observations


def greedy_plan(agent: Agent, state: Any, observations: Any, horizon: int) -> jax.Array:
    """What the agent's greedy policy plays at each of T steps in each state, int32 [T, S].

    An agent without memory is asked once; the memory of others must not depend on what they saw (a clock).

    Args:
        observations: what each state shows, [S, ...].
    """
    key = jax.random.key(0)
    observations = jax.tree.map(jnp.asarray, observations)

    def ask(memory: Any) -> tuple[jax.Array, Any]:
        actions, memories = jax.vmap(lambda seen: agent.act(key, state, memory, seen, True))(observations)
        return jnp.asarray(actions, jnp.int32), jax.tree.map(lambda x: x[0], memories)

    first = agent.start(key, state)
    if not jax.tree.leaves(first):
        actions = ask(first)[0]
        return jnp.broadcast_to(actions, (horizon, *actions.shape))

    def step(memory: Any, _: Any) -> tuple[Any, jax.Array]:
        actions, memory = ask(memory)
        return memory, actions

    return jax.lax.scan(step, first, length=horizon)[1]


@functools.lru_cache(maxsize=256)
def judged(factory: Callable[..., Agent], judge: Judge, every: int = 1, stops: bool = False) -> Callable[..., Agent]:
    """`factory`, whose agents report how good they are.

    Metrics: `judge/return`, the exact value of the greedy policy after every `every`-th update, NaN in between;
    `judge/solved_steps`, int32, the environment steps at which it first lacked no more than `SOLVED` of what there is
    to gain, 0 while it never did.

    Args:
        stops: a member finishes once it has solved its task. An agent with a large state had better have
            `AgentInfo.finish`: else it is copied in every update.
    """

    def build(env: Any, env_params: Any, config: Any) -> Agent:
        inner = factory(env, env_params, config)
        # A copy an agent: JAX remembers constants by identity, in whatever precision it saw them first.
        mdp, observations = jax.tree.map(
            lambda x: np.array(x, inner.info.precision if x.dtype == np.float64 else x.dtype),
            (judge.mdp, judge.observations),
        )

        def init(key: jax.Array) -> JudgedState:
            none = jnp.zeros((), jnp.int32)
            return JudgedState(inner.init(key), none, none, jnp.zeros((), bool))

        def value(state: Any) -> jax.Array:
            worth = plan_return(mdp, greedy_plan(inner, state, observations, mdp.horizon), judge.repeat_probability)
            return worth.astype(jnp.float32)

        def update(key: jax.Array, state: JudgedState, step: jax.Array) -> tuple[JudgedState, Metrics]:
            after, metrics = inner.update(key, state.agent, step)
            taken = metrics.get("steps/count", inner.info.env_steps_per_update)
            steps = (state.steps + jnp.where(state.finished, 0, taken)).astype(jnp.int32)
            worth = jax.lax.cond((step + 1) % every == 0, value, lambda _: jnp.float32(jnp.nan), after)
            is_solved = ~state.finished & (worth >= judge.threshold - ROUNDING * abs(judge.threshold))
            solved = jnp.where((state.solved == 0) & is_solved, steps, state.solved)
            metrics = metrics | {"judge/return": worth, "judge/solved_steps": solved}
            finished = jnp.asarray(metrics.get("finished", False)) | (stops & (solved > 0))
            if stops or "finished" in metrics:
                metrics["finished"] = finished
            if inner.info.finish is not None:
                after = inner.info.finish(after, finished)
            return JudgedState(after, steps, solved, finished), metrics

        def finish(state: JudgedState, is_over: jax.Array) -> JudgedState:
            agent = inner.info.finish(state.agent, is_over)  # type: ignore[misc]
            return state._replace(agent=agent, finished=state.finished | is_over)

        def start(key: jax.Array, state: JudgedState) -> Any:
            return inner.start(key, state.agent)

        def act(key: jax.Array, state: JudgedState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
            return inner.act(key, state.agent, memory, observation, greedy)

        finishes = finish if inner.info.finish else None
        info = dataclasses.replace(inner.info, factory=made, finish=finishes, **ON_ONE_DEVICE)
        return Agent(init, update, start, act, info)

    made = agent_factory(factory.agent_name, factory.config_class, factory.check)(build)  # type: ignore[attr-defined]
    return made


ROUNDING = 1e-6
"""Of float32 values, relative."""
