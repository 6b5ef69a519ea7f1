"""Times this package's PPO, DQN, PQN or SAC through its public surface: one measurement a process, one line of JSON.

Both kinds of score are given, so that each peer is met on the one it offers: final returns as `Run.final_returns`
defines them, and 128 episodes of the final policy with sampled actions, played after the clock has stopped.
"""

import dataclasses
import time

import worker_common as common

RECORD_EVERY = {"ppo": 1, "dqn": 25, "pqn": 1, "sac": 25}
"""Updates a record of metrics: of DQN's and SAC's, which are a hundred times as many, not each is kept."""


def main() -> None:
    arguments = common.parse()
    import jaxrl_suite as jrl

    if arguments.threads is not None:
        jrl.use_cores(arguments.threads)
    env, params = jrl.make(common.ENV_IDS[arguments.algorithm])
    factory = jrl.agents.agent_named(arguments.algorithm)
    settings = common.SETTINGS[arguments.algorithm] | {"total_updates": arguments.updates}
    if arguments.buffer_size is not None:
        settings["buffer_size"] = arguments.buffer_size
    config = factory.config_class(**settings, hidden_sizes=common.HIDDEN_SIZES[arguments.algorithm])
    agent = factory(env, params, config)
    seeds = list(range(arguments.seed_start, arguments.seed_start + arguments.members))
    started = time.perf_counter()
    run = jrl.train(agent, seeds=seeds, updates=arguments.updates, record_every=RECORD_EVERY[arguments.algorithm])
    wall_seconds = time.perf_counter() - started
    peak = common.peak_rss_bytes()

    if arguments.algorithm in ("dqn", "pqn"):
        agent = factory(env, params, dataclasses.replace(config, final_epsilon=common.EVALUATION_EPSILON))
    evaluation = jrl.evaluate(agent, run.state, seeds=seeds, episodes=common.EVALUATION_EPISODES, greedy=False)
    common.report(
        arguments,
        peak,
        {"final_returns": run.final_returns(), "evaluated_returns": evaluation.returns.mean(axis=-1)},
        compile_seconds=float(run.seconds.compile),
        run_seconds=float(run.seconds.run),
        train_wall_seconds=wall_seconds,
    )


if __name__ == "__main__":
    main()
