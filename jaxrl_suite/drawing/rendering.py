"""A run's episodes as a moving picture, in one call."""

import os
from pathlib import Path
from typing import Any

from jaxrl_suite.drawing.pictures import Draw, Pictures, kind_of
from jaxrl_suite.drawing.saving import check_out, save
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training.episodes import play_episode


def render(
    run: Any,
    out: str | os.PathLike | None = None,
    *,
    seed: int | None = None,
    setting: int | None = None,
    episodes: int = 1,
    greedy: bool = True,
    max_steps: int | None = None,
    env: Any = None,
    env_params: Any = None,
    draw: Draw | None = None,
) -> Path:
    """Plays episodes with one member of a run and saves their pictures; returns where.

    The episodes are the first that `evaluate` plays with this seed.

    Args:
        run: a `Run`. out, and errors of saving: as of `drawing.save`; None: `episode-seed-N.gif` among the figures of
            the run's directory (of a sweep, `episode-setting-I-seed-N.gif`).
        seed, setting: which member, as of `Run.member`.
        greedy, max_steps, env, env_params: as of `evaluate`.
        draw: a function of (state, params) that draws what the suite cannot, uint8 [H, W, 3].

    Raises:
        ConfigError: for no episodes, an environment that cannot be drawn, a run without a directory and no `out`, and
            as of `evaluate` and `Run.member`.
        CheckpointError: if the run has no state.
    """
    if episodes < 1:
        raise ConfigError(f"episodes = {episodes}: must be >= 1")
    agent, state = run.member(seed, setting)
    seed = run.seeds[0] if seed is None else seed
    path = check_out(_default_out(run, seed, setting) if out is None else out)
    if draw is None:
        kind_of(*((env, env_params) if env is not None else (agent.info.env, agent.info.env_params)))
    how = {"seed": seed, "greedy": greedy, "max_steps": max_steps, "env": env, "env_params": env_params}
    clips = [Pictures(play_episode(agent, state, number=number, **how), draw) for number in range(episodes)]
    return save(clips, path, clips[0].seconds)


def _default_out(run: Any, seed: int, setting: int | None) -> Path:
    if run.path is None:
        raise ConfigError("out = None: the run has no directory; say where the pictures are to go")
    where = "" if run.settings is None else f"setting-{setting or 0}-"
    return run.path / "figures" / f"episode-{where}seed-{seed}.gif"
