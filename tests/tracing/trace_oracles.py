"""Compute networks in NumPy, differentiate them by complex steps, and evaluate printed equations.

Nothing here uses glassnet's derivatives: f'(x) = Im f(x + ih) / h, exact to rounding for h = 1e-30.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

H = 1e-30


def relu(z: Any, slope: float = 0.0) -> Any:
    return np.where(np.real(z) > 0, z, slope * z)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softplus(z: Any) -> Any:
    return np.log(1 + np.exp(z))


def selu(z: Any) -> Any:
    low = 1.6732632423543772 * (np.exp(z) - 1)
    return 1.0507009873554805 * np.where(np.real(z) > 0, z, low)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "leaky_relu": lambda z: relu(z, 0.01),
    "softplus": softplus,
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z * 0.5 * (1 + special.erf(z / np.sqrt(2))),
    "selu": selu,
    "mish": lambda z: z * np.tanh(softplus(z)),
}


def derivative(function: Callable[[Any], Any]) -> Callable[[float], float]:
    return lambda z: float(np.imag(function(np.complex128(z + 1j * H))) / H)


def dense(x: Any, p: Any, layer: Any) -> Any:
    return x @ p["W"].T + (p["b"] if layer.bias else 0)


def periodic(x: Any, p: Any, layer: Any) -> Any:
    turns = x[:, : layer.columns, None] * p["f"] + p["phase"]
    mixed = np.einsum("ncw,cow->nco", np.cos(2 * np.pi * turns), p["W"]) + p["b"]
    return np.concatenate([x, mixed.reshape(len(x), -1)], axis=1)


def embedding(x: Any, p: Any, layer: Any) -> Any:
    return np.concatenate([x[:, :-1], p["E"][np.real(x[:, -1]).astype(int)]], axis=1)


LAYERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Dense": dense,
    "Periodic": periodic,
    "Embedding": embedding,
    "Scale": lambda x, p, layer: p["s"] * x,
    "Rescale": lambda x, p, layer: layer.scale * x + layer.shift,
    "Flatten": lambda x, p, layer: x.reshape(len(x), -1),
    "Sine": lambda x, p, layer: np.sin(x),
    "LeakyReLU": lambda x, p, layer: relu(x, layer.slope),
}


def layer_in_numpy(
    kind: str, layer: Any, p: Any, state: Any, x: Any, train: bool, mask: Any, shares: Any
) -> Any:
    """Return the output of a layer; its parameters p may be complex."""
    if kind == "BatchNorm":
        mean, variance = state["mean"], state["variance"]
        if train:
            mean = shares @ x
            variance = shares @ (x - mean) ** 2
        return p["gamma"] * (x - mean) / np.sqrt(variance + layer.eps) + p["beta"]
    if kind == "Dropout":
        return x * mask if train else x
    if kind in LAYERS:
        return LAYERS[kind](x, p, layer)
    names = {name.replace("_", ""): name for name in FUNCTIONS}
    return FUNCTIONS[names[kind.lower()]](x)


def loss_in_numpy(kind: str, loss: Any, z: Any, target: Any, weight: Any) -> Any:
    """Return the weighted mean of the losses."""
    t = np.asarray(target)
    if kind == "CrossEntropy":
        t = np.eye(z.shape[1])[t] if t.ndim == 1 else t
        t = (1 - loss.label_smoothing) * t + loss.label_smoothing / z.shape[1]
        terms = -(t * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum(axis=1)
    else:
        e = z - t.reshape(z.shape)
        size = e * np.sign(np.real(e))
        terms = {
            "MeanSquaredError": lambda: e * e,
            "MeanAbsoluteError": lambda: size,
            "Huber": lambda: np.where(np.real(size) <= 1, e * e / 2, size - 0.5),
            "BinaryCrossEntropy": lambda: softplus(z) - t.reshape(z.shape) * z,
        }[kind]()
        terms = terms.mean(axis=1)
    return (terms * weight).sum() / weight.sum()


def by_complex_steps(function: Callable[[Any], Any], at: np.ndarray) -> np.ndarray:
    """Return the gradient of a function of one array, number by number."""
    gradient = np.zeros(at.shape)
    for index in np.ndindex(*at.shape):
        moved = at.astype(np.complex128)
        moved[index] += 1j * H
        gradient[index] = np.imag(function(moved)) / H
    return gradient


# ----------------------------------------------------------------------------- a reader of equations

OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
CALLS: dict[str, Callable[[float], float]] = {
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sign": np.sign,
    **FUNCTIONS,
    **{f"d_{name}": derivative(function) for name, function in FUNCTIONS.items()},
}


def evaluated(text: str) -> float:
    """Return the value of an expression such as "0.31·1.0 - 1.2·tanh′(0.5) + 0.1 [the other 3]"."""
    text = re.sub(r" \[the other \d+\]", "", text).replace("·", "*")
    text = re.sub(r"(\w+)′\(", r"d_\1(", text)

    def of(node: ast.AST) -> float:
        if isinstance(node, ast.Expression):
            return of(node.body)
        if isinstance(node, ast.Constant):
            return float(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -of(node.operand)
        if isinstance(node, ast.BinOp):
            return float(OPERATORS[type(node.op)](of(node.left), of(node.right)))
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), ast.dump(node)
        return float(CALLS[node.func.id](of(node.args[0])))

    return of(ast.parse(text, mode="eval"))


def check_adds_up(line: str, digits: int = 4) -> bool:
    """Fail unless "symbol = formula = numbers = value" is true; return whether it had numbers."""
    body = re.sub(r"  \(.*\)$", "", line)
    parts = body.split(" = ")
    value = float(parts[-1])
    numbers = parts[-2] if len(parts) > 2 else ""
    try:
        result = evaluated(numbers)
    except (SyntaxError, AssertionError, KeyError, ValueError):
        return False  # a formula in symbols alone: nothing was computed with numbers
    size = np.floor(np.log10(abs(value))) if value else -12
    rounding = 1e-15  # of sums that cancel in float64
    assert abs(result - value) <= 0.5001 * 10.0 ** (size - digits + 1) + rounding, line
    return True
