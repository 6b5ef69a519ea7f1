"""`jaxrl eval`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxrl_suite.cli import common, tables
from jaxrl_suite.cli.options import Group, Option, parse
from jaxrl_suite.errors import CheckpointError

_OPTIONS = (
    Option("run", str, (), "run directory", "RUN", positional=True),
    Option("episodes", int, 100, "episodes of each member", "N", allowed=">= 1"),
    *common.PLAY,
    common.JSON,
)
_COLUMNS = ("seed", "mean return", "deviation", "lowest", "highest", "mean length", "episodes cut off")


def evaluate(words: Sequence[str]) -> None:
    about = "Plays whole episodes with the newest sound checkpoint of a run, without learning."
    values = parse("jaxrl eval", about, [Group("", _OPTIONS)], words)
    path = common.one_run("eval", values["run"])
    common.check_play(values)
    common.require_run(path)
    common.use_cores()
    import jaxrl_suite as jrl

    run = jrl.load(path)
    if run.state is None:
        raise CheckpointError(f"{path} has no checkpoint yet: nothing to evaluate")
    play = {name: values[name] for name in ("episodes", "greedy", "max_steps")}
    results = [
        (setting, jrl.evaluate(agent, state, seeds=run.seeds, **play)) for setting, agent, state in _settings(run)
    ]
    if values["json"]:
        for setting, result in results:
            tables.print_json(_as_json(run, setting, result, values["greedy"]))
    else:
        how = f"{values['episodes']} episodes a seed, {'greedy' if values['greedy'] else 'sampled'}"
        _print(run, results, f"{run.path}: {how}")


def _settings(run: Any) -> Iterator[tuple[Mapping[str, float], Any, Any]]:
    """(setting, agent, state [seed]); the agent plays by its setting's own numbers."""
    if run.settings is None:
        yield {}, run.agent, run.state
        return
    import jax

    from jaxrl_suite.training import members

    for index, setting in enumerate(run.settings):
        state = jax.tree.map(lambda x, i=index: x[i], run.state)
        yield setting, members.setting_agent(run.agent.info, dict(setting)), state


def _summary(run: Any, setting: Mapping[str, float], result: Any) -> Any:
    """Over seeds; diverged ones have no score, whatever their NaN made them play."""
    from jaxrl_suite.cli.report import Summary

    diverged = {d.seed for d in run.diverged if dict(d.setting) == dict(setting)}
    means = result.returns.mean(axis=1, dtype=float)
    means[[seed in diverged for seed in run.seeds]] = float("nan")
    return Summary(means, run.seeds)


def _as_json(run: Any, setting: Mapping[str, float], result: Any, greedy: bool) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "setting": dict(setting) if run.settings is not None else None,
        "seeds": list(run.seeds),
        "episodes": result.returns.shape[1],
        "greedy": greedy,
        "mean_return": _summary(run, setting, result).as_dict(),
        "mean_lengths": result.lengths.mean(axis=1).tolist(),
        "not_ended": (~result.ended).sum(axis=1).tolist(),
    }


def _print(run: Any, results: Sequence[tuple[Mapping[str, float], Any]], title: str) -> None:
    members, settings = [], []
    for setting, result in results:
        name = [tables.setting_text(setting)] if run.settings is not None else []
        summary = _summary(run, setting, result)
        members += [[*name, *row] for row in _rows(run.seeds, summary, result)]
        settings.append([*name, summary.text("iqm"), summary.text("mean"), summary.missing_text()])
    first = ["setting"] if run.settings is not None else []
    tables.print_table(title, [*first, *_COLUMNS], members)
    tables.print_table("over seeds, 95 % intervals", [*first, "IQM", "mean", "diverged seeds"], settings)


def _rows(seeds: Sequence[int], summary: Any, result: Any) -> Iterator[list[str]]:
    for i, seed in enumerate(seeds):
        returns, cut = result.returns[i], int((~result.ended[i]).sum())
        mean = "diverged" if seed in summary.missing else f"{summary.scores[i]:.4g}"
        spread = (f"{value:.4g}" for value in (returns.std(), returns.min(), returns.max(), result.lengths[i].mean()))
        yield [str(seed), mean, *spread, str(cut or "none")]
