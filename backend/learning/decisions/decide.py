"""From what was seen to an answer: one call of the model for all observations, the cold-start rule without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ai_engine.policy import (
    AI_TRADING_DISABLED,
    NO_ACTIVE_MODEL,
    NO_RULE_FOR_THESE_FEATURES,
    Choice,
    PolicySettings,
    choose,
    cold_start,
)
from ai_engine.types import Action, FeatureMatrix, Forecast, Forecasts
from backend.errors import ConflictError
from backend.learning.decisions.strategies import names_difference


class ForecastingModel(Protocol):
    """A verified model: float32 rows of shape (n, f) in the order of its names in, forecasts out."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names it was trained on, sorted."""

    def forecast(self, X: FeatureMatrix, /) -> Forecasts:
        """One answer a row."""


class DecidingModel(Protocol):
    """The version that serves."""

    @property
    def version_id(self) -> str:
        """Whose forecasts these are."""

    @property
    def model(self) -> ForecastingModel:
        """What makes them."""


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """The terms of one strategy's decisions; ``enabled`` False answers HOLD to everything."""

    strategy_name: str
    policy: PolicySettings
    enabled: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """One symbol's features, float32 of shape (f,), in the order of ``names`` (sorted).

    ``uniform`` in [0, 1) allows exploration, None forbids it.
    """

    symbol: str
    features: FeatureMatrix
    names: tuple[str, ...]
    uniform: float | None


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer, with the forecast and the version behind it where there is one."""

    choice: Choice
    forecast: Forecast | None
    model_version: str | None


def decide(observations: Sequence[Observation], model: DecidingModel | None, context: DecisionContext) -> list[Decided]:
    """One answer an observation, in order."""
    if not observations:
        return []
    if model is None:
        return [Decided(_without_model(observation, context), None, None) for observation in observations]
    forecasts = model.model.forecast(np.stack([model_row(one, model, context) for one in observations]))
    return [
        Decided(_with_model(observation, forecast, context), forecast, model.version_id)
        for observation, forecast in zip(observations, (forecasts.row(i) for i in range(len(forecasts))), strict=True)
    ]


def model_row(observation: Observation, model: DecidingModel, context: DecisionContext) -> FeatureMatrix:
    """The observation in the order of the model's names; names beyond them are left out."""
    wanted = model.model.feature_names
    if observation.names == wanted:
        return observation.features
    place = {name: index for index, name in enumerate(observation.names)}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise ConflictError(
            f"Version {model.version_id}, active in strategy {context.strategy_name!r}, was trained on other features."
            f" {names_difference(observation.names, wanted)} Activate a version of this schema, or deactivate.",
            reason="schema_mismatch",
            missing=missing,
            version_id=model.version_id,
        )
    return observation.features[[place[name] for name in wanted]]


def _with_model(observation: Observation, forecast: Forecast, context: DecisionContext) -> Choice:
    if not context.enabled:
        return _hold(AI_TRADING_DISABLED)
    return choose(forecast, context.policy, uniform=observation.uniform)


def _without_model(observation: Observation, context: DecisionContext) -> Choice:
    if not context.enabled:
        return _hold(AI_TRADING_DISABLED)
    choice = cold_start(observation.features, observation.names, context.policy, uniform=observation.uniform)
    return _hold(NO_ACTIVE_MODEL) if choice.reason == NO_RULE_FOR_THESE_FEATURES else choice


def _hold(reason: str) -> Choice:
    return Choice(action=Action.HOLD.value, reason=reason, explored=False, propensity=1.0)
