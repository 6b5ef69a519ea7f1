"""Seeing: states and episodes as pictures, and as files of them. Names load on first use.

jaxrl_suite.render(run, seed=3)                         # RUN/figures/episode-seed-3.gif
episode = jaxrl_suite.training.play_episode(agent, state, seed=3)
frames(episode)                                         # uint8 [T + 1, H, W, 3]
picture(env, params, state)                             # one state, uint8 [H, W, 3]
save([frames(episode)], "episode.gif")                  # or a folder of PNGs

What the suite cannot draw, a function of your own can: `draw=`, of (state, params); `Canvas` may help it.
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

if TYPE_CHECKING:
    from jaxrl_suite.drawing.canvas import Canvas
    from jaxrl_suite.drawing.pictures import frames, picture
    from jaxrl_suite.drawing.rendering import render
    from jaxrl_suite.drawing.saving import save

_HOMES = {
    "Canvas": "canvas",
    "frames": "pictures",
    "picture": "pictures",
    "render": "rendering",
    "save": "saving",
}

__all__ = [
    "Canvas",
    "frames",
    "picture",
    "render",
    "save",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
