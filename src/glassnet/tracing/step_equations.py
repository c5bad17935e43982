"""Write how an optimizer turns a gradient into a new value; each optimizer is a row of `STEP_EQUATIONS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glassnet.nn.optimizer_wrappers import Averaged, ClipByNorm
from glassnet.nn.optimizers import SGD, Adam, AdamW, Momentum, RMSprop
from glassnet.tracing.expressions import (
    MAX_DIGITS,
    Called,
    Equation,
    Expression,
    Minus,
    Number,
    Product,
    Quotient,
    Sum,
    Whole,
)
from glassnet.tracing.pen import Pen
from glassnet.tracing.records import OptimizerStep, Parameter


def weight_step(
    pen: Pen, parameter: Parameter, index: tuple[int, ...], name: str, decays: bool
) -> list[Equation]:
    """Return how the optimizer turns one number's gradient into its new value.

    name: the number's symbol ("w₂₁"). decays: whether penalties and weight decay apply to it.
    """
    trace = pen.trace
    if parameter.gradient is None or parameter.update is None or trace.step is None:
        return []
    number = NumberStep(
        pen=pen,
        step=trace.step,
        optimizer=trace.step.optimizer,
        parameter=parameter,
        index=index,
        gradient=float(parameter.gradient[index]),
        decays=decays,
    )
    equations = []
    if decays and (trace.penalties.l1 or trace.penalties.l2):
        equations.append(_penalty(number, name))
        number = replace(number, gradient=equations[0].value)
    equations += number.equations()
    right = Sum((Number(number.value), Number(number.update)))
    new = number.at(parameter.new)
    return [*equations, pen.write(f"{name} new", new, right, f"{name} + Δ{name}")]


@dataclass(frozen=True)
class NumberStep:
    """One number of a parameter in the optimizer's step; `gradient` is what the optimizer receives."""

    pen: Pen
    step: OptimizerStep
    optimizer: Any
    parameter: Parameter
    index: tuple[int, ...]
    gradient: float
    decays: bool

    def equations(self) -> Iterator[Equation]:
        """Yield the optimizer's moments and the update Δ by its rule."""
        return STEP_EQUATIONS.get(type(self.optimizer), _unknown)(self)

    def at(self, array: Any) -> float:
        """Return this number's entry of an array of the parameter's shape."""
        return float(array[self.index])

    def past(self, moment: str) -> Number:
        """Return a moment before the step."""
        return Number(self.at(self.parameter.past[moment]))

    def now(self, moment: str) -> Number:
        """Return a moment after the step."""
        return Number(self.at(self.parameter.moments[moment]))

    @property
    def value(self) -> float:
        """The number before the step."""
        return self.at(self.parameter.value)

    @property
    def update(self) -> float:
        """What the optimizer adds to the number."""
        return self.at(self.parameter.update)

    def delta(self, factor: Expression, formula: str) -> Equation:
        """Return Δ = -η · factor."""
        rate, own_factor = self.step.rate, self.parameter.factor
        note = f"η {rate:g} times this parameter's factor {own_factor:g}"
        right = Product((Minus(Number(rate * own_factor)), factor))
        return self.pen.write(
            "Δ", self.update, right, f"-η·{formula}", note if own_factor != 1 else ""
        )

    def average(
        self, moment: str, symbol: str, letter: str, share: Any, powers: int = 1
    ) -> Equation:
        """Return a moment as the running average of g, or of g² (powers=2); letter: of the share kept."""
        kept, g = float(share), Number(self.gradient)
        fresh = Product((Number(1 - kept), *[g] * powers))
        right = Sum((Product((Number(kept), self.past(moment))), fresh))
        formula = f"{letter}·{symbol} + (1 - {letter})·g{'²' if powers == 2 else ''}"
        return self.pen.write(symbol, self.now(moment).number, right, formula)


def _penalty(number: NumberStep, name: str) -> Equation:
    """Return g, the gradient of loss and penalty."""
    l1, l2 = (float(strength) for strength in number.pen.trace.penalties)
    terms: list[Expression] = [Number(number.gradient)]
    formula = f"∂L/∂{name}"
    if l1:
        terms.append(Product((Number(l1), Whole(int(np.sign(number.value))))))
        formula += " + l1·sign(w)"
    if l2:
        terms.append(Product((Number(l2), Number(number.value))))
        formula += " + l2·w"
    g = number.gradient + number.at(number.parameter.penalty)
    return number.pen.write("g", g, Sum(tuple(terms)), formula)


def _unknown(number: NumberStep) -> Iterator[Equation]:
    yield number.pen.write("Δ", number.update, note="computed by the optimizer's own update")


def _sgd(number: NumberStep) -> Iterator[Equation]:
    yield number.delta(Number(number.gradient), "g")


def _momentum(number: NumberStep) -> Iterator[Equation]:
    momentum, g = Number(float(number.optimizer.momentum)), Number(number.gradient)
    v = number.now("velocity")
    right = Sum((Product((momentum, number.past("velocity"))), g))
    yield number.pen.write("v", v.number, right, "μ·v + g")
    if number.optimizer.nesterov:
        yield number.delta(Sum((g, Product((momentum, v)))), "(g + μ·v)")
    else:
        yield number.delta(v, "v")


def _rmsprop(number: NumberStep) -> Iterator[Equation]:
    yield number.average("square", "s", "ρ", number.optimizer.rho, powers=2)
    root = _root(number.now("square").number, number.optimizer.eps)
    yield number.delta(Quotient(Number(number.gradient), root), "g/(sqrt(s) + ε)")


def _adam(number: NumberStep) -> Iterator[Equation]:
    yield from _adam_moments(number)
    yield number.delta(_adam_direction(number), "m̂/(sqrt(v̂) + ε)")


def _adamw(number: NumberStep) -> Iterator[Equation]:
    yield from _adam_moments(number)
    direction = _adam_direction(number)
    if number.decays:
        decay = Product((Number(float(number.optimizer.weight_decay)), Number(number.value)))
        yield number.delta(Sum((direction, decay)), "(m̂/(sqrt(v̂) + ε) + λ·w)")
    else:
        yield number.delta(direction, "m̂/(sqrt(v̂) + ε)")


def _adam_moments(number: NumberStep) -> Iterator[Equation]:
    yield number.average("m", "m", "β₁", number.optimizer.beta1)
    yield number.average("v", "v", "β₂", number.optimizer.beta2, powers=2)
    for moment, letter in (("m", "β₁"), ("v", "β₂")):
        unbiased = _unbiased(number, moment)
        formula, note = f"{moment}/(1 - {letter}ᵗ)", f"t = {number.step.number}"
        yield number.pen.write(f"{moment}̂", unbiased.value(MAX_DIGITS), unbiased, formula, note)


def _unbiased(number: NumberStep, moment: str) -> Quotient:
    optimizer = number.optimizer
    beta = float({"m": optimizer.beta1, "v": optimizer.beta2}[moment])
    return Quotient(number.now(moment), Number(1 - beta**number.step.number))


def _adam_direction(number: NumberStep) -> Expression:
    m, v = (Number(_unbiased(number, moment).value(MAX_DIGITS)) for moment in ("m", "v"))
    return Quotient(m, _root(v.number, number.optimizer.eps))


def _root(square: float, eps: Any) -> Sum:
    return Sum((Called("sqrt", math.sqrt, Number(square)), Number(float(eps))))


def _clip_by_norm(number: NumberStep) -> Iterator[Equation]:
    limit, norm, g = float(number.optimizer.max_norm), number.step.norm, number.gradient
    if norm > limit:
        clipped = Quotient(Product((Number(g), Number(limit))), Number(norm))
        number = replace(number, gradient=g * limit / norm, step=number.step._replace(norm=limit))
        yield number.pen.write("g", number.gradient, clipped, "g·max_norm/‖g‖", "clipped")
    yield from replace(number, optimizer=number.optimizer.optimizer).equations()


def _averaged(number: NumberStep) -> Iterator[Equation]:
    return replace(number, optimizer=number.optimizer.optimizer).equations()


STEP_EQUATIONS: dict[type[Any], Callable[[NumberStep], Iterator[Equation]]] = {
    SGD: _sgd,
    Momentum: _momentum,
    RMSprop: _rmsprop,
    Adam: _adam,
    AdamW: _adamw,
    ClipByNorm: _clip_by_norm,
    Averaged: _averaged,
}
"""Class of optimizer -> its equations; an optimizer without a row shows only the computed Δ."""
