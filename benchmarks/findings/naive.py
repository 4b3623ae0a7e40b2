"""What a random split reports of the same rows: neighbours of a judged row, which share its outcome, are learned."""

import numpy as np

from ai_engine import metrics, recipes
from ai_engine.dataset import Rows, build
from ai_engine.recipes import Recipe
from backend.learning.versions.retrain import SEED

LEARNED_SHARE = 0.8
LIBRARY_DEFAULTS = Recipe(
    name="library defaults",
    trees=100,
    depth=6,
    learning_rate=0.3,
    l2=1.0,
    min_child_weight=1.0,
    subsample=1.0,
    colsample=1.0,
    winsor_mad=4.0,
    seeds=(SEED,),
)


def random_split(rows: Rows, *, cost: float) -> dict[str, float]:
    """Accuracy on a random fifth after fitting the rest: by the service's own trees, and by XGBoost's defaults."""
    dataset = build(rows)
    order = np.random.default_rng(SEED).permutation(len(dataset))
    border = int(LEARNED_SHARE * len(order))
    older, newer = dataset.part(np.sort(order[:border])), dataset.part(np.sort(order[border:]))
    found = {}
    for name, recipe in (
        ("own", recipes.for_rows(len(older), seed=SEED)),
        ("library_defaults", LIBRARY_DEFAULTS),
    ):
        scores = recipes.fit(older.X, older.y, older.weights, recipe).predict(newer.X)
        found[name] = metrics.directional_accuracy(scores, newer.y, cost=cost).value or 0.0
    return found
