"""Times search: whole games of phantom tic-tac-toe, many at once, and one decision in Hanabi of 10,000 rollouts.

Each measurement is a process of its own, and all take turns. `jaxrl bench search` runs it; called with `--worker` it is
one measurement and prints a line of JSON.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
NOTES = {
    "board": "phantom tic-tac-toe, both players search from uniform play, tau 10, one rollout an action and particle; "
    "all games are played to their ends in one program; rate: decisions a second of all games together, the best of "
    "some repetitions. Games that have ended wait for the longest.",
    "hanabi": "seconds of one decision at the start of a game, the median of some: hands drawn from a learned belief, "
    "each of 10,000 // A hands x A actions played to the game's end. Networks are not trained, which costs the same: "
    "2 x 512 units the blueprint's, the belief's as its config has them. The blueprint's plays of cards are made a "
    "thousandth as likely, so that rollouts go on until the cards are used up, longer than a trained one's. "
    "policy_flops: of the blueprint's matrix products alone, at the mean length of rollouts; per decision.",
    "compile_seconds": "apart from the rate.",
    "peak_rss_bytes": "of the whole process on the host, imports and compiler included.",
}
BOARDS = ((10_000, 10), (1000, 10), (100, 10), (10, 10), (1000, 1), (1000, 3), (1000, 30), (1000, 100))
"""(games, particles)."""
VARIANTS = ("standard", "7-card-4-hint")
REPETITIONS = 3
UNITS = (512, 512)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--games", type=int, default=100)
    parser.add_argument("--particles", type=int, default=10)
    parser.add_argument("--variant", choices=VARIANTS, default="standard")
    parser.add_argument("--rollouts", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "search_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker](arguments) | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with, rows = provenance(), []
    for turn in range(arguments.rounds):
        for games, particles in BOARDS:
            options = {"games": games, "particles": particles}
            rows.append({"round": turn, "worker": "board", **options, **paired.measure(__file__, "board", options)})
        for variant in VARIANTS:
            options = {"variant": variant, "rollouts": arguments.rollouts}
            rows.append({"round": turn, "worker": "hanabi", **options, **paired.measure(__file__, "hanabi", options)})
    paired.write(arguments.out, {"provenance": made_with, "notes": NOTES, "summary": summary(rows), "rows": rows})
    return 0


def summary(rows: list[dict]) -> dict:
    found: dict = {}
    for row in rows:
        if row["worker"] == "board":
            name, rate = f"board, {row['games']} games, {row['particles']} particles", "rate"
        else:
            name, rate = f"hanabi, {row['variant']}", "seconds"
        found.setdefault(name, {key: [] for key in (rate, "compile_seconds", "peak_rss_bytes")})
        for key, values in found[name].items():
            values.append(row[key])
    return {name: {key: paired.spread(values) for key, values in of.items()} for name, of in found.items()}


def board(arguments: argparse.Namespace) -> dict:
    import jax
    import jax.numpy as jnp

    import jaxrl_suite as jrl
    from jaxrl_suite.agents import SearchConfig, SearchState, search, uniform_play

    env, params = jrl.make("board/phantom_tic_tac_toe", observation="raw")
    agent = search(uniform_play(env, params), SearchConfig(num_particles=arguments.particles))
    state = SearchState(jnp.zeros(()), jnp.float32(10.0), jnp.float32(0.0))

    def played(key):
        """All games to their ends; how many decisions that were."""
        key_reset, key_start, key_play = jax.random.split(key, 3)
        games = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, arguments.games), params)
        memory = jax.vmap(lambda key: agent.start(key, state))(jax.random.split(key_start, arguments.games))

        def one(key, observation, game, memory):
            key_act, key_step = jax.random.split(key)
            action, memory = agent.act(key_act, state, memory, observation, False)
            observation, game, _, terminated, truncated = env.transition(key_step, game, action, params)
            return observation, game, memory, terminated | truncated

        def step(carry):
            count, observation, game, memory, is_on, decisions = carry
            keys = jax.random.split(jax.random.fold_in(key_play, count), arguments.games)
            observation, game, memory, ends = jax.vmap(one)(keys, observation, game, memory)
            return count + 1, observation, game, memory, is_on & ~ends, decisions + jnp.sum(is_on)

        start = (jnp.int32(0), *games, memory, jnp.ones(arguments.games, bool), jnp.int32(0))
        return jax.lax.while_loop(lambda carry: jnp.any(carry[4]), step, start)[-1]

    program, compiled = compile_of(played, jax.random.key(0))
    rates = []
    for key in jax.random.split(jax.random.key(0), REPETITIONS):
        started = time.perf_counter()
        decisions = int(program(key))
        rates.append(decisions / (time.perf_counter() - started))
    return {"rate": max(rates), "decisions": decisions, "compile_seconds": compiled, "device": device()}


def hanabi(arguments: argparse.Namespace) -> dict:
    import jax
    import jax.numpy as jnp

    import jaxrl_suite as jrl
    from jaxrl_suite.agents import HandConfig, PPOConfig, SearchConfig, SearchState, learned_hands, ppo, searcher
    from jaxrl_suite.agents.learned_hands import untrained
    from jaxrl_suite.agents.memoryless import play_by
    from jaxrl_suite.envs.hanabi_rules import PLAY, move_table

    env, params = jrl.make(f"hanabi/{arguments.variant}")
    network = ppo(env, params, PPOConfig(num_envs=4, hidden_sizes=UNITS, activation="relu"))
    is_play = jnp.asarray(move_table(env.rules)[:, 0] == PLAY)

    def probabilities(state, observation):
        weights = jnp.where(is_play, 1e-3, 1.0) * network.info.policy(state, (), observation)[0]
        return weights / jnp.sum(weights)

    play = play_by(probabilities)
    blueprint = network._replace(act=play.act, info=dataclasses.replace(network.info, policy=play.policy))
    hands, actions = HandConfig(), env.rules.num_actions
    config = SearchConfig(num_particles=arguments.rollouts // actions)
    mine = searcher(blueprint, config, learned_hands(hands))
    belief = untrained(env.rules, hands, jax.random.key(1))
    state = SearchState(blueprint.init(jax.random.key(0)), jnp.float32(30.0), jnp.float32(0.0), belief)
    observation, _ = env.reset(jax.random.key(2), params)
    memory = mine.start(jax.random.key(3), state)

    def decide(key, state, observation):
        return mine.look(key, state, memory, observation)[0].policy

    program, compiled = compile_of(decide, jax.random.key(0), state, observation)
    seconds = []
    for key in jax.random.split(jax.random.key(0), REPETITIONS + 1):
        started = time.perf_counter()
        jax.block_until_ready(program(key, state, observation))
        seconds.append(time.perf_counter() - started)
    alone = jax.tree.map(lambda x: x[None], state.blueprint)
    length = float(jrl.evaluate(blueprint, alone, seeds=[0], episodes=200, greedy=False).lengths.mean())
    sizes = (env.size, *UNITS, actions)
    flops = 2 * sum(a * b for a, b in itertools.pairwise(sizes)) * length * config.num_particles * actions
    return {
        "seconds": sorted(seconds[1:])[REPETITIONS // 2],
        "rollouts": config.num_particles * actions,
        "rollout_length": length,
        "policy_flops": flops,
        "compile_seconds": compiled,
        "device": device(),
    }


def compile_of(function, *arguments):
    """(the program, the seconds that compiling took); it has run once."""
    import jax

    started = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    compiled = time.perf_counter() - started
    jax.block_until_ready(program(*arguments))
    return program, compiled


def device() -> str:
    import jax

    return jax.devices()[0].device_kind


WORKERS = {"board": board, "hanabi": hanabi}

if __name__ == "__main__":
    raise SystemExit(main())
