"""A version's file: a pickle of plain builtins around XGBoost's native bytes, verified before anything parses it.

Nothing in it can run code, nothing in it tells the time: the same rows always give the same bytes.
"""

import hashlib
import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ai_engine import calibration as calibrating
from ai_engine.calibration import Calibration
from ai_engine.features.catalogue import schema_hash
from ai_engine.recipes import Fitted, TargetScaling, bag_scores, open_boosters
from ai_engine.types import FeatureMatrix, FloatArray, Forecasts

if TYPE_CHECKING:
    import xgboost

FORMAT = "qt-model/1"
PICKLE_PROTOCOL = 4
CANARY_TOLERANCE = 1e-6


class ArtifactError(ValueError):
    """The bytes are not what was published, or no model this code can read."""


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into a file beside the canary answers, which ``pack`` computes."""

    fitted: Fitted
    calibration: Calibration
    feature_names: tuple[str, ...]
    canary_features: FeatureMatrix
    manifest: dict[str, Any]


def warm() -> None:
    """Load XGBoost and TA-Lib now, which takes a second or more, so that no first model or feature waits for them."""
    import talib  # noqa: F401
    import xgboost  # noqa: F401


def pack(content: Content) -> bytes:
    """Return the file's bytes; equal content gives equal bytes.

    The pickler's memo is off: with it the bytes would depend on which equal strings happen to be one object.
    """
    scaling = content.fitted.scaling
    body: dict[str, Any] = {
        "format": FORMAT,
        "feature_names": list(content.feature_names),
        "feature_schema_hash": schema_hash(content.feature_names),
        "preprocessing": {
            "target_low": scaling.low,
            "target_high": scaling.high,
            "target_deviation": scaling.deviation,
        },
        "calibration": _plain(content.calibration.as_dict()),
        "manifest": _plain(content.manifest),
        "boosters": list(content.fitted.boosters),
        "canaries": {
            "features": [[float(value) for value in row] for row in content.canary_features],
            "scores": content.fitted.predict(content.canary_features).tolist(),
        },
    }
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=PICKLE_PROTOCOL)
    pickler.fast = True
    pickler.dump(body)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Rebuild a value from builtins only, dictionaries in sorted order."""
    match value:
        case dict():
            return {str(key): _plain(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str(value)
    raise TypeError(f"An artifact holds plain builtins only, not {type(value).__name__}.")


def sha256(blob: bytes) -> str:
    """Return the hex digest by which a row knows its file."""
    return hashlib.sha256(blob).hexdigest()


def verify(blob: bytes, *, sha256: str, size: int) -> None:
    """Compare bytes with what was published; call it before ``load``, which must not see damaged bytes.

    Raises
    ------
    ArtifactError
        If the size or the digest differs.
    """
    if len(blob) != size:
        raise ArtifactError(f"The file has {len(blob)} bytes, {size} were published.")
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise ArtifactError("The file's SHA-256 differs from the published one.")


class _BuiltinsOnly(pickle.Unpickler):
    """Reads plain containers and values; a pickle that names anything importable is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ArtifactError(f"The file refers to {module}.{name}; a model file holds plain values only.")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise ArtifactError(f"The file refers to an outside object {pid!r}.")


def load(blob: bytes) -> "Model":
    """Open verified bytes.

    Raises
    ------
    ArtifactError
        If the bytes are no model file of this format, or name anything but plain values.
    """
    body = _unpickle(blob)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ArtifactError(f"The file is not of the format {FORMAT}.")
    try:
        return Model(body)
    except ArtifactError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"The file lacks a part of a model: {error!r}.") from error


def _unpickle(blob: bytes) -> Any:
    try:
        return _BuiltinsOnly(io.BytesIO(blob)).load()
    except ArtifactError:
        raise
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ArtifactError(f"The file is not a readable pickle: {type(error).__name__}.") from error


class Model:
    """An opened version: forecasts rows of its own features."""

    feature_names: tuple[str, ...]
    manifest: dict[str, Any]

    def __init__(self, body: dict[str, Any]) -> None:
        self.feature_names = tuple(str(name) for name in body["feature_names"])
        self.feature_schema_hash = str(body["feature_schema_hash"])
        if schema_hash(self.feature_names) != self.feature_schema_hash:
            raise ArtifactError("The feature names do not match the schema hash beside them.")
        self.manifest = dict(body["manifest"])
        self.calibration = calibrating.from_dict(body["calibration"])
        shape = body["preprocessing"]
        self.scaling = TargetScaling(
            low=float(shape["target_low"]),
            high=float(shape["target_high"]),
            deviation=float(shape["target_deviation"]),
        )
        width = len(self.feature_names)
        self._canary_features = np.asarray(body["canaries"]["features"], dtype=np.float32).reshape(-1, width)
        self._canary_scores = np.asarray(body["canaries"]["scores"], dtype=np.float64)
        self._boosters: tuple[xgboost.Booster, ...] = _open(body["boosters"])

    def scores(self, X: FeatureMatrix) -> FloatArray:
        """Return the raw scores of rows, shape (n,).

        Raises
        ------
        ValueError
            If the width differs from the model's features, or a value is NaN or infinite; names the feature.
        """
        matrix = self._checked(X)
        return bag_scores(self._boosters, matrix, self.scaling.deviation)

    def forecast(self, X: FeatureMatrix) -> Forecasts:
        """Return scores, expected returns and confidences for rows of shape (n, f); ValueError as ``scores``."""
        scores = self.scores(X)
        return Forecasts(
            scores=scores,
            expected_returns=self.calibration.expected_return(scores),
            confidences=self.calibration.confidence(scores),
        )

    def leading_features(self, count: int) -> dict[str, float]:
        """Return the features that lessened the training error most, with their share of all gain, largest first."""
        gains = np.zeros(len(self.feature_names))
        for booster in self._boosters:
            for name, gain in booster.get_score(importance_type="total_gain").items():
                gains[int(name[1:])] += np.sum(gain)
        order = np.argsort(-gains, kind="stable")[:count]
        return {self.feature_names[place]: float(gains[place] / gains.sum()) for place in order if gains[place] > 0}

    def check_canaries(self) -> None:
        """Answer the stored canary rows again: a library that forecasts otherwise must not serve this file.

        Raises
        ------
        ArtifactError
            If an answer differs from the one stored at training.
        """
        answers = self.scores(self._canary_features)
        tolerance = CANARY_TOLERANCE * self.scaling.deviation
        if answers.shape != self._canary_scores.shape or not np.allclose(
            answers, self._canary_scores, rtol=CANARY_TOLERANCE, atol=tolerance
        ):
            raise ArtifactError("The model answers its canary rows differently from when it was trained.")

    def _checked(self, X: FeatureMatrix) -> FeatureMatrix:
        matrix = np.ascontiguousarray(X, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.feature_names):
            raise ValueError(f"Expected rows of {len(self.feature_names)} features, found shape {matrix.shape}.")
        finite = np.isfinite(matrix)
        if not finite.all():
            row, column = (int(place[0]) for place in np.nonzero(~finite))
            name = self.feature_names[column]
            raise ValueError(f"Feature {name!r} of row {row} is {matrix[row, column]}; it must be a finite number.")
        return matrix


def _open(blobs: list[bytes]) -> "tuple[xgboost.Booster, ...]":
    import xgboost

    if not blobs or not all(isinstance(blob, bytes) for blob in blobs):
        raise ArtifactError("The file holds no boosters.")
    try:
        return open_boosters(tuple(blobs))
    except xgboost.core.XGBoostError as error:
        raise ArtifactError("XGBoost cannot read the boosters in the file.") from error
