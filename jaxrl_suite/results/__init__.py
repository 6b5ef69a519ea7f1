"""What runs leave behind: the store, statistics over seeds, figures and logging sinks.

Names are imported when first used: `import jaxrl_suite.results` loads neither jax, pandas, pyarrow nor matplotlib.
"""

from jaxrl_suite.lazy import lazy_names

_HOME = {
    "statistics": (
        "Aggregate",
        "Comparison",
        "Estimate",
        "aggregate",
        "bootstrap_interval",
        "compare",
        "iqm",
        "mean",
        "median",
        "optimality_gap",
        "performance_profile",
        "probability_of_improvement",
    ),
    "store": ("RunStore",),
    "listing": ("list_runs",),
    "plots": ("learning_curves", "performance_profiles"),
    "maps": ("heat_maps",),
    "trees": ("game_tree",),
    "curves": ("Curve",),
    "rankings": ("BoundQuality", "Pairwise", "bound_quality", "pairwise"),
    "tables": ("csv_table", "latex_table", "markdown_table"),
    "verdicts": ("verdict",),
    "sinks": ("Sink", "TensorBoardSink", "WandbSink", "open_sinks"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)

__getattr__, __dir__ = lazy_names(__name__, _MODULE_OF, _HOME)
