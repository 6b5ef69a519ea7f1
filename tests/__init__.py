"""A package, because a distribution among the extras installs one that is called tests too."""
