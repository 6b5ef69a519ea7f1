"""Tables in the file format of the BRIDGE dataset (Laidlaw, Russell, Dragan 2023). The data are not shipped."""

import os
import zipfile
from pathlib import Path

import numpy as np

from jaxrl_suite.envs.successors import SuccessorMDP
from jaxrl_suite.errors import ConfigError


def read_bridge(path: str | os.PathLike, horizon: int) -> SuccessorMDP:
    """A deterministic MDP from a compressed NumPy archive with `transitions` [S, A], ints of which -1 ends the episode,
    and `rewards` [S, A]; the first state is number 0. Other arrays, such as screens, are not read.

    Args:
        horizon: T; the files do not hold it. It is 100 for MiniGrid, else a part of the file's name.

    Raises:
        ConfigError: if the file cannot be read as such an archive, or its arrays are no MDP.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as archive:
            missing = [name for name in ("transitions", "rewards") if name not in archive.files]
            if missing:
                raise ConfigError(f"{path}: has no array {missing[0]}: found {', '.join(archive.files) or 'nothing'}")
            transitions, rewards = archive["transitions"], archive["rewards"]
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise ConfigError(f"{path}: cannot be read as a NumPy archive: {error}") from error
    if not np.issubdtype(transitions.dtype, np.integer):
        raise ConfigError(f"{path}: transitions are {transitions.dtype}: must be whole numbers")
    return SuccessorMDP.from_table(transitions, rewards, horizon)
