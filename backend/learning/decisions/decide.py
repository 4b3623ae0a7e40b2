"""From what was seen to answers: one call of each model for all observations, the cold-start rule without one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ai_engine.policy import (
    AI_TRADING_DISABLED,
    NO_ACTIVE_MODEL,
    NO_RULE_FOR_THESE_FEATURES,
    SCHEMA_MISMATCH,
    Choice,
    PolicySettings,
    choose,
    cold_start,
)
from ai_engine.types import Action, FeatureMatrix, Forecast, Forecasts


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
    """The terms of decisions; ``enabled`` False answers HOLD to everything.

    ``no_model`` is the reason of a HOLD where no version answers and the cold-start rule does not know the features.
    """

    policy: PolicySettings
    enabled: bool
    no_model: str = NO_ACTIVE_MODEL


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
class ShadowForecast:
    """What a shadow forecast, and what the policy would have made of it without exploring."""

    version_id: str
    forecast: Forecast
    action: str


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer, with the forecast and the version behind it where there is one, and what shadows said."""

    choice: Choice
    forecast: Forecast | None
    model_version: str | None
    shadows: tuple[ShadowForecast, ...] = ()


def decide(
    observations: Sequence[Observation],
    model: DecidingModel | None,
    context: DecisionContext,
    shadows: Sequence[DecidingModel] = (),
) -> list[Decided]:
    """One answer an observation, in order; HOLD where it lacks features that the model was trained on.

    Each shadow forecasts what it has the features of, whether or not a version decides; the deciding one never twice.
    """
    answers = _answers(observations, model, context)
    for shadow in shadows:
        if model is None or shadow.version_id != model.version_id:
            answers = _with_shadow(answers, observations, shadow, context)
    return answers


def _answers(
    observations: Sequence[Observation], model: DecidingModel | None, context: DecisionContext
) -> list[Decided]:
    if model is None:
        return [Decided(_without_model(observation, context), None, None) for observation in observations]
    return [
        _mismatched(context)
        if forecast is None
        else Decided(_with_model(observation, forecast, context), forecast, model.version_id)
        for observation, forecast in zip(observations, _forecasts(observations, model.model), strict=True)
    ]


def _with_shadow(
    answers: Sequence[Decided], observations: Sequence[Observation], shadow: DecidingModel, context: DecisionContext
) -> list[Decided]:
    """The answers, each with what the shadow says to it."""
    told = []
    forecasts = _forecasts(observations, shadow.model)
    for answer, observation, forecast in zip(answers, observations, forecasts, strict=True):
        if forecast is None:
            told.append(answer)
            continue
        action = _with_model(replace(observation, uniform=None), forecast, context).action
        beside = ShadowForecast(shadow.version_id, forecast, action)
        told.append(replace(answer, shadows=(*answer.shadows, beside)))
    return told


def _forecasts(observations: Sequence[Observation], model: ForecastingModel) -> list[Forecast | None]:
    """The model's forecasts from one call of it; None where an observation lacks a feature of it."""
    rows = [_model_row(one, model.feature_names) for one in observations]
    known = [row for row in rows if row is not None]
    forecast_of = _rows_of(model.forecast(np.stack(known))) if known else iter(())
    return [None if row is None else next(forecast_of) for row in rows]


def _rows_of(forecasts: Forecasts) -> Iterator[Forecast]:
    return (forecasts.row(index) for index in range(len(forecasts)))


def _model_row(observation: Observation, wanted: tuple[str, ...]) -> FeatureMatrix | None:
    """The observation in the order of the model's names; names beyond them are left out. None where one is missing."""
    if observation.names == wanted:
        return observation.features
    place = {name: index for index, name in enumerate(observation.names)}
    if any(name not in place for name in wanted):
        return None
    return observation.features[[place[name] for name in wanted]]


def _mismatched(context: DecisionContext) -> Decided:
    """No forecast: the strategy's schema was changed, and rows of the new one are needed to train a version for it."""
    return Decided(_hold(SCHEMA_MISMATCH if context.enabled else AI_TRADING_DISABLED), None, None)


def _with_model(observation: Observation, forecast: Forecast, context: DecisionContext) -> Choice:
    if not context.enabled:
        return _hold(AI_TRADING_DISABLED)
    return choose(forecast, context.policy, uniform=observation.uniform)


def _without_model(observation: Observation, context: DecisionContext) -> Choice:
    if not context.enabled:
        return _hold(AI_TRADING_DISABLED)
    choice = cold_start(observation.features, observation.names, context.policy, uniform=observation.uniform)
    return _hold(context.no_model) if choice.reason == NO_RULE_FOR_THESE_FEATURES else choice


def _hold(reason: str) -> Choice:
    return Choice(action=Action.HOLD.value, reason=reason, explored=False, propensity=1.0)
