"""Times this package's PPO through its public surface: one measurement a process, one line of JSON.

Both kinds of score are given, so that each peer is met on the one it offers: final returns as `Run.final_returns`
defines them, and 128 episodes of the final policy with sampled actions, played after the clock has stopped.
"""

import time

import worker_common as common


def main() -> None:
    arguments = common.parse()
    import jaxrl_suite as jrl

    if arguments.threads is not None:
        jrl.use_cores(arguments.threads)
    env, params = jrl.make(common.ENV_ID)
    config = jrl.agents.PPOConfig(**common.SETTINGS, hidden_sizes=(64, 64), total_updates=arguments.updates)
    agent = jrl.agents.ppo(env, params, config)
    seeds = list(range(arguments.seed_start, arguments.seed_start + arguments.members))
    started = time.perf_counter()
    run = jrl.train(agent, seeds=seeds, updates=arguments.updates)
    wall_seconds = time.perf_counter() - started
    peak = common.peak_rss_bytes()

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
