"""Seeded log-price paths with random access: the one arithmetic behind every simulated candle.

A path is cut into blocks of at least a day. Its state at the block borders (*nodes*) follows from a handful of
normals a block, so that decades cost milliseconds; the candles between two nodes are a Gaussian bridge between
them, drawn from the block's own generator. Conditioning on both ends is exact, so that neither the borders nor
the bridge leave a pattern to learn. Per candle, in units of the average candle's volatility::

    x[i]  = phi_x  * x[i-1]  + mu[i-1] + sigma[i] * t[i]     log price, slowly pulled back to its base
    mu[i] = phi_mu * mu[i-1] + e[i]                          latent drift: the weak signal
    log sigma[i] = regime + h[i] + season(time of day),  h[i] = phi_h * h[i-1] + n[i]
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DAY_MS = 86_400_000
MIN_BLOCK_CANDLES = 288
REVERSION_DAYS = 45.0
DRIFT_HALF_LIFE = 36.0
DRIFT_DEVIATION = 0.10
VOLATILITY_HALF_LIFE = 72.0
VOLATILITY_DEVIATION = 0.35
TAIL_DEGREES = 5.0
REGIME_SWITCH = 0.15
REGIME_SHARES = (0.35, 0.45, 0.20)
REGIME_LEVELS = (0.60, 1.00, 1.80)
SEASON_AMPLITUDE = 0.30
SEASON_PEAK_HOUR = 15.0
_CHUNK = 1024
_CACHED_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a path: ``n`` candles between ``n + 1`` log prices."""

    log_price: Array
    variance: Array
    drift: Array
    """Latent drift before each candle, in units of its stationary deviation."""


@dataclass(frozen=True, slots=True)
class _Nodes:
    """State at the block borders, and what each block must add to carry one into the next."""

    level: Array
    drift: Array
    volatility: Array
    regime: Array
    variance: Array
    price_shock: Array
    drift_shock: Array
    volatility_shock: Array


@dataclass(frozen=True, slots=True)
class _Constants:
    """What depends on the timeframe alone; powers and gains for the steps 1 .. n of a block."""

    candles: int
    phi_price: float
    phi_drift: float
    phi_volatility: float
    price_power: Array
    drift_power: Array
    drift_to_price: Array
    volatility_power: Array
    drift_gain: Array
    drift_root: Array
    volatility_gain: Array
    volatility_root: float


def generator(*key: object) -> np.random.Generator:
    """A random generator that is a function of its key alone, whatever the platform or process."""
    digest = hashlib.blake2b("|".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))


def block_candles(timeframe_ms: int) -> int:
    """How many candles a block holds: a day, and at least 288."""
    return max(MIN_BLOCK_CANDLES, -(-DAY_MS // timeframe_ms))


def autoregress(noise: Array, phi: float) -> Array:
    """``y[t] = phi * y[t-1] + noise[t]`` along the first axis from ``y[-1] = 0``, by doubling."""
    out = noise.copy()
    step, power = 1, phi
    while step < len(out) and power > 1e-18:
        out[step:] += power * out[:-step]
        step, power = 2 * step, power * power
    return out


class Path:
    """One source of randomness: the market as a whole, or one symbol's own part."""

    def __init__(self, seed: int, name: str, timeframe_ms: int) -> None:
        self._key = (seed, name, timeframe_ms)
        self._timeframe_ms = timeframe_ms
        self._constants = _constants(timeframe_ms)
        self._nodes = _nodes(self._key, self._constants, _CHUNK)
        self._blocks: OrderedDict[int, Block] = OrderedDict()

    def block(self, number: int) -> Block:
        """The candles ``number * n`` to ``number * n + n - 1``, counted from 1970-01-01."""
        found = self._blocks.get(number)
        if found is None:
            if number + 1 >= len(self._nodes.level):
                chunks = 1 + (number + 1) // _CHUNK
                self._nodes = _nodes(self._key, self._constants, chunks * _CHUNK)
            found = self._blocks[number] = self._bridge(number)
            while len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return found

    def _bridge(self, number: int) -> Block:
        constants, nodes = self._constants, self._nodes
        random = generator(*self._key, "block", number)
        count = constants.candles
        drift_noise, volatility_noise = random.standard_normal((2, count))
        tails = random.standard_t(TAIL_DEGREES, count) * np.sqrt((TAIL_DEGREES - 2) / TAIL_DEGREES)

        variance = self._variance(number, volatility_noise)
        drift, drifted = _bridge_drift(constants, drift_noise, nodes.drift_shock[number])
        diffused = autoregress(np.sqrt(variance) * tails, constants.phi_price)
        spread = autoregress(variance, constants.phi_price**2)
        gain = np.append(constants.price_power[-2::-1], 1.0) * spread / spread[-1]
        diffused += gain * (nodes.price_shock[number] - diffused[-1])

        start, drift_start = nodes.level[number], nodes.drift[number]
        log_price = np.empty(count + 1)
        log_price[1:] = constants.price_power * start + constants.drift_to_price * drift_start + drifted + diffused
        log_price[0], log_price[-1] = start, nodes.level[number + 1]
        drift += constants.drift_power * drift_start
        return Block(log_price, variance, np.append(drift_start, drift[:-1]) / DRIFT_DEVIATION)

    def _variance(self, number: int, noise: Array) -> Array:
        """Variance of each candle; weighted by what is left of it at the block's end it sums to the node's."""
        constants, nodes = self._constants, self._nodes
        count = constants.candles
        own = autoregress(noise * _innovation(VOLATILITY_DEVIATION, constants.phi_volatility), constants.phi_volatility)
        own += constants.volatility_gain * (nodes.volatility_shock[number] - own[-1])
        own += constants.volatility_power * nodes.volatility[number]
        between = (np.arange(count) + 0.5) / count
        regime = nodes.regime[number] * (1 - between) + nodes.regime[number + 1] * between
        opened = (number * count + np.arange(count)) * self._timeframe_ms
        shape = np.exp(2 * (own + regime + _season(opened)))
        left = np.append(constants.price_power[-2::-1], 1.0) ** 2
        return np.asarray(shape * (nodes.variance[number] / np.sum(left * shape)))


def _bridge_drift(constants: _Constants, noise: Array, shock: Array) -> tuple[Array, Array]:
    """Drift and its share of the price from a start at zero to ``shock`` = (price, drift) at the end."""
    drift = autoregress(noise * _innovation(DRIFT_DEVIATION, constants.phi_drift), constants.phi_drift)
    price = autoregress(np.append(0.0, drift[:-1]), constants.phi_price)
    missing = constants.drift_gain @ (shock - np.array([price[-1], drift[-1]]))
    return drift + missing[:, 1], price + missing[:, 0]


def _innovation(deviation: float, phi: float) -> float:
    return deviation * float(np.sqrt(1 - phi * phi))


def _season(opened_ms: npt.NDArray[np.int64]) -> Array:
    """Log-volatility by the time of day, loudest in the American session."""
    hour = opened_ms % DAY_MS / 3_600_000
    return np.asarray(SEASON_AMPLITUDE * np.cos(2 * np.pi * (hour - SEASON_PEAK_HOUR) / 24))


@cache
def _constants(timeframe_ms: int) -> _Constants:
    count = block_candles(timeframe_ms)
    phi_price = 0.5 ** (timeframe_ms / (REVERSION_DAYS * DAY_MS))
    phi_drift, phi_volatility = 0.5 ** (1 / DRIFT_HALF_LIFE), 0.5 ** (1 / VOLATILITY_HALF_LIFE)
    steps = np.arange(count + 1)
    price, drift, volatility = phi_price**steps, phi_drift**steps, phi_volatility**steps
    to_price = (price - drift) / (phi_price - phi_drift)
    response = np.stack([to_price, drift], axis=1)
    squares = np.cumsum(response[:, :, None] * response[:, None, :], axis=0)
    covariance = squares * _innovation(DRIFT_DEVIATION, phi_drift) ** 2
    carry = np.zeros((count + 1, 2, 2))
    carry[:, 0, 0], carry[:, 0, 1], carry[:, 1, 1] = price, to_price, drift
    end = covariance[count - 1]
    gain = covariance[:count] @ carry[count - 1 :: -1].transpose(0, 2, 1) @ np.linalg.inv(end)
    spread = np.cumsum(volatility[:count] ** 2)
    return _Constants(
        candles=count,
        phi_price=phi_price,
        phi_drift=phi_drift,
        phi_volatility=phi_volatility,
        price_power=price[1:],
        drift_power=drift[1:],
        drift_to_price=to_price[1:],
        volatility_power=volatility[1:],
        drift_gain=gain,
        drift_root=np.linalg.cholesky(end),
        volatility_gain=volatility[count - 1 :: -1] * spread / spread[-1],
        volatility_root=_innovation(VOLATILITY_DEVIATION, phi_volatility) * float(np.sqrt(spread[-1])),
    )


def _nodes(key: tuple[int, str, int], constants: _Constants, count: int) -> _Nodes:
    """The states of the first ``count`` borders; those of a longer call begin with the same values."""
    chunks = [generator(*key, "nodes", chunk) for chunk in range(count // _CHUNK)]
    normal = np.concatenate([random.standard_normal((_CHUNK, 4)) for random in chunks])
    uniform = np.concatenate([random.random((_CHUNK, 2)) for random in chunks])
    regime = _regimes(uniform)
    variance = _mean_variance(regime) * np.sum(np.append(constants.price_power[:-1], 1.0) ** 2)
    price_shock = np.sqrt(variance) * normal[:, 0]
    drift_shock = normal[:, 1:3] @ constants.drift_root.T
    volatility_shock = constants.volatility_root * normal[:, 3]
    drift = _shifted(autoregress(drift_shock[:, 1], float(constants.drift_power[-1])))
    step = price_shock + drift_shock[:, 0] + constants.drift_to_price[-1] * drift
    return _Nodes(
        level=_shifted(autoregress(step, float(constants.price_power[-1]))),
        drift=drift,
        volatility=_shifted(autoregress(volatility_shock, float(constants.volatility_power[-1]))),
        regime=regime,
        variance=variance,
        price_shock=price_shock,
        drift_shock=drift_shock,
        volatility_shock=volatility_shock,
    )


def _regimes(uniform: Array) -> Array:
    """Log-volatility level at each border: calm, normal or wild, redrawn now and then."""
    redrawn = uniform[:, 0] < REGIME_SWITCH
    redrawn[0] = True
    last = np.maximum.accumulate(np.where(redrawn, np.arange(len(uniform)), 0))
    kind = np.searchsorted(np.cumsum(REGIME_SHARES)[:-1], uniform[last, 1])
    levels = np.array(REGIME_LEVELS)
    return np.asarray(np.log(levels / np.sqrt(np.dot(REGIME_SHARES, levels**2)))[kind])


def _mean_variance(regime: Array) -> Array:
    """Mean of ``exp(2 * level)`` over each block while the level goes straight from border to border."""
    rise = 2 * np.diff(regime, append=regime[-1])
    safe = np.where(rise == 0, 1.0, rise)
    return np.asarray(np.exp(2 * regime) * np.where(rise == 0, 1.0, np.expm1(safe) / safe))


def _shifted(ends: Array) -> Array:
    """State at each block's start from the state at its end."""
    return np.append(0.0, ends[:-1])
