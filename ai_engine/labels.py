"""What a decision earned, in fractions and in quote currency. Every formula exists here and nowhere else."""

from __future__ import annotations

import math

from ai_engine.types import Action, TargetClass

SIDES = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}


def forward_return(reference: float, price: float) -> float:
    """Return the market's move from the reference price to the price at the horizon, whoever traded.

    ``price / reference - 1``: what the regressor learns.

    Parameters
    ----------
    reference
        First price at which the decision could have been executed; > 0.
    price
        Price when the strategy's horizon has passed; > 0.

    Returns
    -------
    float
        Fraction: 0.01 means that the price rose by one per cent.

    Raises
    ------
    ValueError
        If a price is not finite and positive.

    Examples
    --------
    >>> forward_return(100.0, 99.0)
    -0.01
    """
    _require_price("reference", reference)
    _require_price("price", price)
    return (price - reference) / reference


def market_return(entry_price: float, exit_price: float) -> float:
    """Return the market's move between two fills, free of the side taken: ``exit / entry - 1``.

    Raises
    ------
    ValueError
        If a price is not finite and positive.

    Examples
    --------
    >>> round(market_return(45_000.0, 45_500.0), 4)
    0.0111
    """
    _require_price("entry_price", entry_price)
    _require_price("exit_price", exit_price)
    return (exit_price - entry_price) / entry_price


def target_label(side: int, market_return: float, fees_fraction: float) -> float:
    """Return the trade's net return: ``side * market_return - fees_fraction``.

    Parameters
    ----------
    side
        +1 for a long position, -1 for a short one.
    market_return
        Side-free fraction, see :func:`market_return`.
    fees_fraction
        Fees of both legs as a fraction of the entry notional: ``fees / (quantity * entry_price)``.

    Raises
    ------
    ValueError
        If ``side`` is not +1 or -1, or a number is not finite.

    Examples
    --------
    >>> round(target_label(1, market_return(45_000.0, 45_500.0), 0.0), 4)
    0.0111
    >>> round(target_label(-1, market_return(45_000.0, 45_500.0), 0.002), 4)
    -0.0131
    """
    _require_side(side)
    _require_finite("market_return", market_return)
    _require_finite("fees_fraction", fees_fraction)
    return side * market_return - fees_fraction


def target_class(label: float) -> TargetClass:
    """Return WIN above zero, LOSS below, NEUTRAL at zero.

    Raises
    ------
    ValueError
        If ``label`` is not finite.

    Examples
    --------
    >>> [str(target_class(label)) for label in (0.0111, -0.0001, 0.0)]
    ['WIN', 'LOSS', 'NEUTRAL']
    """
    _require_finite("label", label)
    if label > 0:
        return TargetClass.WIN
    return TargetClass.LOSS if label < 0 else TargetClass.NEUTRAL


def realized_pnl(side: int, *, quantity: float, entry_price: float, exit_price: float, fees: float) -> float:
    """Return what the trade earned in quote currency: ``side * quantity * (exit - entry) - fees``.

    Parameters
    ----------
    side
        +1 for a long position, -1 for a short one.
    quantity
        Base currency bought or sold short; > 0.
    entry_price, exit_price
        Quote currency per unit of base currency; > 0.
    fees
        Quote currency, both legs together.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> realized_pnl(1, quantity=0.1, entry_price=45_000.0, exit_price=45_500.0, fees=0.0)
    50.0
    >>> realized_pnl(-1, quantity=0.1, entry_price=45_000.0, exit_price=45_500.0, fees=4.0)
    -54.0
    """
    _require_side(side)
    _require_price("quantity", quantity)
    _require_price("entry_price", entry_price)
    _require_price("exit_price", exit_price)
    _require_finite("fees", fees)
    return side * quantity * (exit_price - entry_price) - fees


def round_trip_cost(fee_rate: float, slippage_bps: float) -> float:
    """Return what entering and leaving costs as a fraction of the position: two fees and two slippages.

    Parameters
    ----------
    fee_rate
        Fee per leg as a fraction of the leg's notional (0.001 is 10 basis points).
    slippage_bps
        Price given up per leg, in basis points.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Examples
    --------
    >>> round(round_trip_cost(0.001, 2.0), 6)
    0.0024
    """
    for name, value in (("fee_rate", fee_rate), ("slippage_bps", slippage_bps)):
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} must be finite and not negative, not {value}.")
    return 2 * (fee_rate + slippage_bps / 10_000)


def counterfactual_label(action: str, market_return: float, *, fee_rate: float, slippage_bps: float) -> float:
    """Return the label of a decision nobody executed: 0.0 for a HOLD, else the net return it would have had.

    ``side * market_return - round_trip_cost``

    Raises
    ------
    ValueError
        If ``action`` is not BUY, SELL or HOLD, or a number is out of its range.

    Examples
    --------
    >>> round(counterfactual_label("SELL", -0.01, fee_rate=0.001, slippage_bps=2.0), 4)
    0.0076
    >>> counterfactual_label("HOLD", -0.01, fee_rate=0.001, slippage_bps=2.0)
    0.0
    """
    side = SIDES[Action(action)]
    cost = round_trip_cost(fee_rate, slippage_bps)
    _require_finite("market_return", market_return)
    return target_label(side, market_return, cost) if side else 0.0


def _require_side(side: int) -> None:
    if side not in (1, -1):
        raise ValueError(f"side must be +1 (long) or -1 (short), not {side}.")


def _require_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}.")


def _require_price(name: str, value: float) -> None:
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be finite and positive, not {value}.")
