"""Equations of both ends of a step: what the loss makes of logits, and the optimizer of a gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from glassnet._precision import precision
from glassnet.nn.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from glassnet.nn.optimizer_wrappers import ClipByNorm, unwrapped
from glassnet.nn.optimizers import SGD, Adam, AdamW, Momentum, RMSprop
from glassnet.tracing.expressions import (
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
from glassnet.tracing.layer_equations import Pen
from glassnet.tracing.records import LayerTrace, Parameter
from glassnet.tracing.symbols import sub

# --------------------------------------------------------------------------------- the loss


def output(pen: Pen, j: int, out: str) -> list[Equation]:
    """Return what the loss makes of logit j: a probability, for classes and labels."""
    traced, at = pen.traced, sub(j)
    z = [float(v) for v in traced.logits[pen.row]]
    if isinstance(traced.loss_function, CrossEntropy):
        top = max(z)

        def part(v: float) -> Expression:
            return Called("exp", math.exp, Sum((Number(v), Minus(Number(top)))))

        under: Expression = Sum(tuple(map(part, z)))
        if len(z) > pen.terms:
            under = Number(math.fsum(math.exp(v - top) for v in z))
        note = f"softmax; m = {top:.{pen.digits}g}, the largest logit, keeps exp small"
        formula = f"exp({out + at} - m)/Σ exp({out}ₖ - m)"
        right = Quotient(part(z[j]), under)
        return [pen.write("p" + at, float(traced.output[pen.row, j]), right, formula, note)]
    if isinstance(traced.loss_function, BinaryCrossEntropy):
        right = Quotient(Whole(1), Sum((Whole(1), Called("exp", math.exp, Minus(Number(z[j]))))))
        formula = f"σ({out + at})"
        return [pen.write("p" + at, float(traced.output[pen.row, j]), right, formula)]
    return []


def loss_slope(pen: Pen, last: LayerTrace, j: int, slope: str, out: str) -> Equation:
    """Return how dL/d(logit j) comes from the loss; L is the mean over rows, weighted where they are."""
    traced, at = pen.traced, sub(j)
    assert traced.target is not None and last.d_output is not None
    loss, value = traced.loss_function, pen.of(last.d_output, j)
    with precision(traced.dtype):
        z, target = jnp.asarray(traced.logits), jnp.asarray(traced.target)
        terms = np.ndim(loss.terms(z, target))
        slopes = np.asarray(loss.slopes(z, target))
        each = traced.target
        if isinstance(loss, CrossEntropy | BinaryCrossEntropy):
            each = np.asarray(loss.probabilities(z, target))
    outputs = z.shape[1] if terms == 2 else 1
    count = traced.rows * outputs
    p = Number(float(traced.output[pen.row, j]))
    inner: tuple[Expression, ...] = (Number(float(slopes[pen.row, j])),)
    said = f"∂l/∂{out + at}"
    if isinstance(loss, CrossEntropy | BinaryCrossEntropy | MeanSquaredError):
        t = Minus(Number(float(np.reshape(each, (traced.rows, -1))[pen.row, j])))
        sums_to_1 = not isinstance(loss, CrossEntropy) or np.allclose(
            each.sum(axis=1), 1, atol=1e-6
        )
        if isinstance(loss, MeanSquaredError):
            inner, said = (Whole(2), Sum((p, t))), f"2·({out + at} - y{at})"
        elif sums_to_1:
            inner, said = (Sum((p, t)),), f"(p{at} - t{at})"
    if traced.sample_weight is None:
        over = inner[0] if len(inner) == 1 else Product(inner)
        right = Quotient(over, Whole(count)) if count > 1 else over
        note = f"L is the mean of {count} losses" if count > 1 else ""
        return pen.write(slope, value, right, said + (f"/{count}" if count > 1 else ""), note)
    share = (
        float(traced.sample_weight[pen.row])
        / float(traced.sample_weight.astype(np.float64).sum())
        / outputs
    )
    return pen.write(slope, value, Product((Number(share), *inner)), f"share·{said}")


# ---------------------------------------------------------------------------- the optimizer


def weight_step(
    pen: Pen, parameter: Parameter, place: tuple[int, ...], name: str, decays: bool
) -> list[Equation]:
    """Return how the optimizer turns one number's gradient into its new value."""

    def at(array: Any) -> float:
        return float(array[place])

    traced = pen.traced
    if parameter.gradient is None or parameter.update is None or traced.step is None:
        return []
    g, w, found = at(parameter.gradient), at(parameter.value), []
    if parameter.penalty is not None and decays and (traced.penalties.l1 or traced.penalties.l2):
        l1, l2 = float(traced.penalties.l1), float(traced.penalties.l2)
        absolute = Product((Number(l1), Whole(int(np.sign(w)))))
        squares = Product((Number(l2), Number(w)))
        right = Sum((Number(g), *([absolute] if l1 else []), *([squares] if l2 else [])))
        said = f"∂L/∂{name}" + " + l1·sign(w)" * bool(l1) + " + l2·w" * bool(l2)
        g += at(parameter.penalty)
        found.append(pen.write("g", g, right, said))
    norm = traced.step.norm
    for optimizer in unwrapped(traced.step.optimizer):
        if isinstance(optimizer, ClipByNorm) and norm > float(optimizer.max_norm):
            limit = float(optimizer.max_norm)
            clipped = Quotient(Product((Number(g), Number(limit))), Number(norm))
            g, norm = g * limit / norm, limit
            found.append(pen.write("g", g, clipped, "g·max_norm/‖g‖", "clipped"))
    found += _moves(pen, optimizer, parameter, place, g, decays)
    new = at(parameter.new)
    right = Sum((Number(w), Number(at(parameter.update))))
    found.append(pen.write(f"{name} new", new, right, f"{name} + Δ{name}"))
    return found


def _moves(
    pen: Pen, optimizer: Any, parameter: Parameter, place: tuple[int, ...], g: float, decays: bool
) -> Iterator[Equation]:
    """Yield the moments and Δ by the optimizer's rule, see `optimizers`."""
    step = pen.traced.step
    assert step is not None and parameter.update is not None
    past = {name: float(array[place]) for name, array in parameter.past.items()}
    now = {name: float(array[place]) for name, array in parameter.moments.items()}
    delta, w = float(parameter.update[place]), float(parameter.value[place])
    rate = Number(step.rate * parameter.factor)
    note = f"η {step.rate:g} times this parameter's factor {parameter.factor:g}"
    write = partial(pen.write, "Δ", delta, note=note if parameter.factor != 1 else "")
    if isinstance(optimizer, SGD):
        yield write(Product((Minus(rate), Number(g))), "-η·g")
    elif isinstance(optimizer, Momentum):
        mu = float(optimizer.momentum)
        right = Sum((Product((Number(mu), Number(past["velocity"]))), Number(g)))
        yield pen.write("v", now["velocity"], right, "μ·v + g")
        ahead = Sum((Number(g), Product((Number(mu), Number(now["velocity"])))))
        pushed: Expression = ahead if bool(optimizer.nesterov) else Number(now["velocity"])
        yield write(
            Product((Minus(rate), pushed)), "-η·(g + μ·v)" if optimizer.nesterov else "-η·v"
        )
    elif isinstance(optimizer, RMSprop):
        yield _average(pen, "s", "ρ", optimizer.rho, past["square"], now["square"], (g, g))
        root = Sum((Called("sqrt", math.sqrt, Number(now["square"])), Number(float(optimizer.eps))))
        yield write(Product((Minus(rate), Quotient(Number(g), root))), "-η·g/(sqrt(s) + ε)")
    elif isinstance(optimizer, Adam | AdamW):
        yield _average(pen, "m", "β₁", optimizer.beta1, past["m"], now["m"], (g,))
        yield _average(pen, "v", "β₂", optimizer.beta2, past["v"], now["v"], (g, g))
        unbiased = []
        for moment, beta in (("m", optimizer.beta1), ("v", optimizer.beta2)):
            left = 1 - float(beta) ** step.number
            unbiased.append(now[moment] / left)
            over = Quotient(Number(now[moment]), Number(left))
            said = f"{moment}/(1 - β{'₁' if moment == 'm' else '₂'}ᵗ)"
            yield pen.write(f"{moment}̂", now[moment] / left, over, said, f"t = {step.number}")
        root = Sum((Called("sqrt", math.sqrt, Number(unbiased[1])), Number(float(optimizer.eps))))
        moved: Expression = Quotient(Number(unbiased[0]), root)
        said = "-η·m̂/(sqrt(v̂) + ε)"
        if isinstance(optimizer, AdamW) and decays:
            decay = Product((Number(float(optimizer.weight_decay)), Number(w)))
            moved, said = Sum((moved, decay)), "-η·(m̂/(sqrt(v̂) + ε) + λ·w)"
        yield write(Product((Minus(rate), moved)), said)
    else:
        yield pen.write("Δ", delta, note="as the optimizer gave it")


def _average(
    pen: Pen,
    name: str,
    letter: str,
    beta: Any,
    before: float,
    after: float,
    squares: tuple[float, ...],
) -> Equation:
    kept, power = float(beta), "²" if len(squares) > 1 else ""
    fresh = Product((Number(1 - kept), *map(Number, squares)))
    right = Sum((Product((Number(kept), Number(before))), fresh))
    return pen.write(name, after, right, f"{letter}·{name} + (1 - {letter})·g{power}")
