"""What an environment must keep to, tried out on it, with a sentence for each thing that is wrong."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

STEPS = 1000
"""Of random play that episodes should end in, and numbers stay numbers."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was tried. problem: what is wrong, empty if nothing is. is_advice: it may be meant so."""

    what: str
    problem: str = ""
    is_advice: bool = False


def check_environment(env: Any, params: Any = None) -> list[Finding]:
    """Tries out an `Environment` of the suite, as `make` and `adapt` return them.

    Args:
        params: its parameters; default: `env.default_params`.

    Returns:
        a finding for each check, in order. After one that nothing else can do without, there are no more.
    """
    params = env.default_params if params is None else params
    found: list[Finding] = []
    for what, check in _CHECKS:
        try:
            problem = check(env, params)
        # A user's environment can fail in any way, and what it says is the finding.
        except Exception as error:
            text = " ".join(str(error).split()) or "no message"
            found.append(Finding(what, f"{type(error).__name__}: {text[:300]}"))
            return found
        found.append(Finding(what, problem, what in _ADVICE))
    return found


def _resets(env: Any, params: Any) -> str:
    observation, _ = env.reset(jax.random.key(0), params)
    return _outside(env.observation_space(params), observation, "reset")


def _outside(space: Any, observation: Any, where: str) -> str:
    """What is wrong with an observation for its space."""
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    leaves = jax.tree.leaves(observation)
    if len(leaves) == 1 and shape is not None and tuple(leaves[0].shape) != tuple(shape):
        return f"{where} gives an observation of shape {leaves[0].shape}, observation_space says {tuple(shape)}"
    if len(leaves) == 1 and dtype is not None and leaves[0].dtype != jnp.dtype(dtype):
        return f"{where} gives an observation of {leaves[0].dtype}, observation_space says {jnp.dtype(dtype)}"
    if not bool(np.all(space.contains(observation))):
        return f"{where} gives an observation outside of observation_space: {leaves[0]}"
    return ""


def _steps(env: Any, params: Any) -> str:
    _, state = env.reset(jax.random.key(0), params)
    action = env.action_space(params).sample(jax.random.key(1))
    observation, after, reward, terminated, truncated = env.transition(jax.random.key(2), state, action, params)
    for name, value, kind in (("reward", reward, jnp.floating), ("terminated", terminated, bool)):
        if jnp.shape(value) != ():
            return f"{name} has shape {jnp.shape(value)}, must be one number"
        if not jnp.issubdtype(jnp.result_type(value), kind if kind is not bool else jnp.bool_):
            return f"{name} is {jnp.result_type(value)}, must be {'a float' if kind is jnp.floating else 'a bool'}"
    if jnp.shape(truncated) != ():
        return f"truncated has shape {jnp.shape(truncated)}, must be one bool"
    before = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), state)
    now = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), after)
    if before != now:
        return f"the state's shapes or dtypes change in a step: {before} before, {now} after"
    return _outside(env.observation_space(params), observation, "step")


def _played(env: Any, params: Any, key: jax.Array, steps: int) -> tuple[Any, ...]:
    """Random play with resets: (observations, rewards, whether an episode ended), each [steps, ...]."""

    def one(carry: Any, key: jax.Array) -> Any:
        state, _ = carry
        key_act, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_act)
        observation, state, reward, terminated, truncated, _ = env.step(key_step, state, action, params)
        return (state, observation), (observation, reward, terminated | truncated)

    observation, state = env.reset(key, params)
    return jax.lax.scan(one, (state, observation), jax.random.split(key, steps))[1]


def _is_pure(env: Any, params: Any) -> str:
    def first(key: jax.Array) -> Any:
        return _played(env, params, key, 5)

    twice = [jax.jit(first)(jax.random.key(3)), jax.jit(lambda key: first(key))(jax.random.key(3))]
    if not _close(*twice):
        return "the same keys give other episodes: something random is not drawn from the key, or is kept outside"
    with jax.disable_jit():
        plain = _played(env, params, jax.random.key(3), 2)
    compiled = _played(env, params, jax.random.key(3), 2)
    return "" if _close(plain, compiled) else "compiled and plain steps differ: the code looks at values, not arrays"


def _close(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, rtol=1e-4, atol=1e-5, equal_nan=True) for x, y in pairs)


def _batches(env: Any, params: Any) -> str:
    keys = jax.random.split(jax.random.key(4), 3)
    many = jax.vmap(lambda key: _played(env, params, key, 3))(keys)
    alone = [_played(env, params, key, 3) for key in keys]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    return "" if _close(many, stacked) else "three copies under vmap do something else than each alone"


def _params_trace(env: Any, params: Any) -> str:
    floats = [x for x in jax.tree.leaves(params) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    if not floats:
        return ""
    repeated = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), params)
    jax.vmap(lambda p: _played(env, p, jax.random.key(5), 2))(repeated)
    return ""


def _stays_finite(env: Any, params: Any) -> str:
    observations, rewards, _ = _played(env, params, jax.random.key(6), STEPS)
    for name, values in (("observation", observations), ("reward", rewards)):
        for leaf in jax.tree.leaves(values):
            if jnp.issubdtype(leaf.dtype, jnp.floating) and not bool(jnp.isfinite(leaf).all()):
                bad = ~np.isfinite(np.asarray(leaf)).reshape(STEPS, -1).all(axis=1)
                return f"the {name} of step {int(np.argmax(bad))} of random play is not finite"
    return ""


def _ends(env: Any, params: Any) -> str:
    _, _, ended = _played(env, params, jax.random.key(7), STEPS)
    if bool(ended.any()):
        return ""
    return f"no episode ended in {STEPS} steps of random play: episode returns may never be reported; see TimeLimit"


def _starts_differ(env: Any, params: Any) -> str:
    observations = jax.vmap(lambda key: env.reset(key, params)[0])(jax.random.split(jax.random.key(8), 16))
    is_same = all(bool((leaf == leaf[:1]).all()) for leaf in jax.tree.leaves(observations))
    return (
        "16 keys give one first observation: if starts are meant to be random, the key is not used" if is_same else ""
    )


_CHECKS: tuple[tuple[str, Callable[[Any, Any], str]], ...] = (
    ("reset gives what observation_space says", _resets),
    ("step gives one reward, two flags, a state of the same shapes", _steps),
    ("the same keys give the same episodes, compiled or not", _is_pure),
    ("copies under vmap are those alone", _batches),
    ("parameters can be swept under vmap", _params_trace),
    ("numbers stay finite", _stays_finite),
    ("episodes end", _ends),
    ("starts differ", _starts_differ),
)
_ADVICE = ("episodes end", "starts differ")
