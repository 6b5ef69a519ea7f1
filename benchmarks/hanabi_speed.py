"""Times random play of Hanabi beside jaxmarl's environment, which has the same rules and observations.

Both sides draw legal actions the same way, in many games at once, in one compiled program, and start a game anew where
one ends. Each measurement is a process of its own, workers take turns, and ratios are medians over pairs. Needs the
extra `games`. `jaxrl bench hanabi` runs it; called with `--worker` it is one measurement and prints a line of JSON.
"""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
NOTES = {
    "rate": "steps a second of all games together, the best of some repetitions; every observation is computed and "
    "summed up. jaxmarl's step gives those of both players, ours that of the player to move.",
    "ours-rules": "the rules alone, without observations, as rollouts that choose by the state play.",
    "compile_seconds": "apart from the rate.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
}
REPETITIONS = 5


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--games", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--variants", nargs="+", default=["standard", "7-card-4-hint"])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "hanabi_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        found = measured(WORKERS[arguments.worker](arguments.variants[0]), arguments.games, arguments.steps)
        print(json.dumps(found | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with, size = provenance(), {"games": arguments.games, "steps": arguments.steps}
    cases = [{"variants": variant, **size} for variant in arguments.variants]
    rows = paired.in_turns(__file__, WORKERS, arguments.pairs, cases)
    found = {variant: summary([row for row in rows if row["variants"] == variant]) for variant in arguments.variants}
    paired.write(arguments.out, {"provenance": made_with, "notes": NOTES, "summary": found, "rows": rows})
    return 0


def summary(rows: list[dict]) -> dict:
    found = paired.of_workers(rows, WORKERS, ("rate", "compile_seconds"))
    return found | {"ours over jaxmarl": paired.ratio(rows, "ours", "jaxmarl", "rate")}


def ours(variant: str):
    """(reset, step): key -> game; (key, game, uniform) -> (game, what was seen, summed up)."""
    import jaxrl_suite as jrl

    env, params = jrl.make(f"hanabi/{variant}")

    def step(key, game, uniform):
        observation, state = game
        action = drawn(env.turns.legal(observation, params), uniform)
        observation, state, reward, _, _, _ = env.step(key, state, action, params)
        return (observation, state), observation.sum() + reward

    return lambda key: env.reset(key, params), step, env.rules.num_actions


def ours_rules(variant: str):
    import jax
    import jax.numpy as jnp

    import jaxrl_suite as jrl
    from jaxrl_suite.envs.hanabi_rules import legal_actions

    env, params = jrl.make(f"hanabi/{variant}")

    def step(key, state, uniform):
        action = drawn(legal_actions(env.rules, state), uniform)
        _, state, reward, _, _, _ = env.step(key, state, action, params)
        return state, reward + jnp.float32(state.stage)

    return lambda key: jax.tree.map(jnp.asarray, env.reset(key, params)[1]), step, env.rules.num_actions


def jaxmarl(variant: str):
    import jax.numpy as jnp

    import jaxrl_suite as jrl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jaxmarl import make
    rules = jrl.make(f"hanabi/{variant}")[0].rules
    env = make("hanabi", hand_size=rules.hand_size, max_info_tokens=rules.hints)

    def step(key, game, uniform):
        _, state = game
        legal = env.get_legal_moves(state)
        # One of them waits, and its no-op is its only legal action, so both can draw by the same numbers.
        actions = {agent: drawn(legal[agent], uniform) for agent in env.agents}
        observations, state, rewards, _, _ = env.step(key, state, actions)
        return (observations, state), sum(jnp.sum(seen) for seen in observations.values()) + rewards["__all__"]

    return env.reset, step, env.num_moves


def drawn(legal, uniform):
    import jax.numpy as jnp

    return jnp.argmax(jnp.where(legal > 0, uniform, -1.0))


def measured(functions, games: int, steps: int) -> dict:
    import jax

    reset, step, num_actions = functions

    def played(key):
        key_reset, key_draw, key_step = jax.random.split(key, 3)
        start = jax.vmap(reset)(jax.random.split(key_reset, games))
        uniform = jax.random.uniform(key_draw, (steps, games, int(num_actions)))

        def one(carry, inputs):
            key, uniform = inputs
            carry, seen = jax.vmap(step)(jax.random.split(key, games), carry, uniform)
            return carry, seen.sum()

        return jax.lax.scan(one, start, (jax.random.split(key_step, steps), uniform))[1]

    keys = jax.random.split(jax.random.key(0), REPETITIONS)
    started = time.perf_counter()
    program = jax.jit(played).lower(keys[0]).compile()
    compiled = time.perf_counter() - started
    jax.block_until_ready(program(keys[0]))
    seconds = []
    for key in keys:
        started = time.perf_counter()
        jax.block_until_ready(program(key))
        seconds.append(time.perf_counter() - started)
    return {"rate": games * steps / min(seconds), "compile_seconds": compiled}


WORKERS = {"ours": ours, "ours-rules": ours_rules, "jaxmarl": jaxmarl}

if __name__ == "__main__":
    raise SystemExit(main())
