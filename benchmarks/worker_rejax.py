"""Times Rejax's PPO: one measurement a process, one line of JSON.

The peer's own scores come from an evaluation callback. Here that callback gives nothing, so the timed program holds
training alone, and the peer's `evaluate` (128 episodes of the final policy, actions sampled) runs after the clock has
stopped. Rejax's PPO has no learning-rate annealing, no orthogonal initialisation, clips gradients by value, and updates
actor and critic apart; it keeps no training returns.
"""

import worker_common as common


def main() -> None:
    arguments = common.parse()
    import jax
    from rejax import PPO
    from rejax.evaluate import evaluate

    algorithm = PPO.create(
        env=common.ENV_ID,
        agent_kwargs={"activation": "tanh", "hidden_layer_sizes": (64, 64)},
        num_envs=common.NUM_ENVS,
        num_steps=common.ROLLOUT_LENGTH,
        num_epochs=common.NUM_EPOCHS,
        num_minibatches=common.NUM_MINIBATCHES,
        learning_rate=common.LEARNING_RATE,
        max_grad_norm=common.MAX_GRAD_NORM,
        gamma=common.DISCOUNT,
        gae_lambda=common.GAE_LAMBDA,
        clip_eps=common.CLIP_EPS,
        ent_coef=common.ENT_COEF,
        vf_coef=common.VF_COEF,
        total_timesteps=common.total_env_steps(arguments.updates),
        eval_freq=common.total_env_steps(arguments.updates),
        skip_initial_evaluation=True,
    ).replace(eval_callback=lambda algorithm, state, key: ())

    keys = common.member_keys(arguments.members, arguments.seed_start, arguments.devices)
    (state, _), seconds = common.time_batched(algorithm.train, keys)
    peak = common.peak_rss_bytes()

    def score(member_state, key):
        act = algorithm.make_act(member_state)
        horizon = algorithm.env_params.max_steps_in_episode
        _, returns = evaluate(act, key, algorithm.env, algorithm.env_params, common.EVALUATION_EPISODES, horizon)
        return returns.mean()

    common.report(arguments, peak, {"evaluated_returns": jax.jit(jax.vmap(score))(state, keys)}, **seconds)


if __name__ == "__main__":
    main()
