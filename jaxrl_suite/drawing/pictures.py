"""Which environments can be drawn, and the pictures of a state or of an episode."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxrl_suite.drawing import boards, cells, control, images, pushed
from jaxrl_suite.drawing.scenes import Kind, Scene, every, innermost, innermost_env
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.training.episodes import Episode

Draw = Callable[[Any, Any], np.ndarray]
"""Of (state, params) of an environment, as it is given: uint8 [H, W, 3], always of the same shape."""

_KINDS = {**control.KINDS, **pushed.KINDS, **images.KINDS, **cells.KINDS, **boards.KINDS}

DRAWN = (
    "gymnax's classic control, MinAtar's games and mazes",
    "pushed/ cart-pole, pendulum, acrobot and point-mass",
    "grid/ worlds and table/grid/ ones",
    ", ".join(cells.TABULAR),
    "board/ games, pgx/ " + ", ".join(boards.PGX),
    "linear/tetris",
    "robust/ and wrapped forms of these",
    "any environment whose observations are images [H, W, C]",
)
"""What can be drawn, in words."""


def kind_of(env: Any, params: Any) -> Kind:
    """How an environment is drawn.

    Raises:
        ConfigError: for one that cannot be drawn.
    """
    inner = innermost_env(env)
    kind = _KINDS.get(type(inner))
    if kind is not None and kind.serves(inner):
        return kind
    if images.shows_image(env, params):
        return Kind(lambda scene: images.observed_image(env, params, images.observation_of(scene)), every(0.05))
    raise ConfigError(
        f"{env.id}: there is no picture of it; drawn are {'; '.join(DRAWN)}. "
        "From Python, draw=function of (state, params) that returns uint8 [H, W, 3] draws anything"
    )


def picture(
    env: Any, params: Any, state: Any, observation: Any = None, *, action: Any = None, draw: Draw | None = None
) -> np.ndarray:
    """A state as a picture, uint8 [H, W, 3].

    Args:
        observation: what the environment shows in that state; needed only where this is what is drawn.
        action: what is done in it; needed only for the push that it holds.
        draw: a function of (state, params) that is used instead.

    Raises:
        ConfigError: for an environment that cannot be drawn, a state that is not finite, or a `draw` that returns
            something else.
    """
    if draw is not None:
        return _checked(draw(state, params))
    return kind_of(env, params).draw(innermost(Scene(env, params, *jax.device_get((state, observation, action)))))


class Pictures(Sequence[np.ndarray]):
    """An episode's pictures, each drawn when it is asked for: of T + 1 states, uint8 [H, W, 3].

    Args:
        draw: as of `picture`.

    Raises:
        ConfigError: as of `picture`.
    """

    def __init__(self, episode: Episode, draw: Draw | None = None):
        self._episode, self._draw = episode, draw
        self._kind = kind_of(episode.env, episode.env_params) if draw is None else None

    def __len__(self) -> int:
        return len(self._episode.rewards) + 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._at(t) for t in range(len(self)))

    def _at(self, t: int) -> np.ndarray:
        episode = self._episode
        state = _item(episode.states, t)
        if self._kind is None:
            assert self._draw is not None
            return _checked(self._draw(state, episode.env_params))
        action = _item(episode.actions, t) if t < len(episode.rewards) else None
        before = (_item(episode.states, t - 1), _item(episode.actions, t - 1)) if t else None
        observation = _item(episode.observations, t)
        return self._kind.draw(innermost(Scene(episode.env, episode.env_params, state, observation, action, before)))

    @property
    def seconds(self) -> float:
        """How long each is to be seen: a step of the simulated time, where there is one."""
        if self._kind is None:
            return 0.05
        episode = self._episode
        scene = innermost(Scene(episode.env, episode.env_params, _item(episode.states, 0)))
        return self._kind.seconds(scene.env, scene.params)


def frames(episode: Episode, draw: Draw | None = None) -> np.ndarray:
    """An episode of T steps as pictures, uint8 [T + 1, H, W, 3]: before the first step, and after each.

    Args:
        episode: as of `play_episode`. draw: as of `picture`.

    Raises:
        ConfigError: as of `picture`.
    """
    drawn = list(Pictures(episode, draw))
    if len({picture.shape for picture in drawn}) > 1:
        raise ConfigError(f"draw: shapes {drawn[0].shape} and others: must always be the same")
    return np.stack(drawn)


def _item(tree: Any, t: int) -> Any:
    return jax.tree.map(lambda x: x[t], tree)


def _checked(image: Any) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ConfigError(f"draw: returned {image.dtype} {list(image.shape)}: must be uint8 [H, W, 3]")
    return image
