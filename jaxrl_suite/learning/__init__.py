"""What agents share: advantage estimators, distributions, losses, minibatches, networks."""
