"""Neural networks with glass walls: train on your own table or pictures, see every number.

Names are imported when they are first used: `import glassnet` by itself costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassnet import figures as figures
    from glassnet import keys as keys
    from glassnet.activations import GELU as GELU
    from glassnet.activations import SELU as SELU
    from glassnet.activations import Identity as Identity
    from glassnet.activations import LeakyReLU as LeakyReLU
    from glassnet.activations import Mish as Mish
    from glassnet.activations import ReLU as ReLU
    from glassnet.activations import Sigmoid as Sigmoid
    from glassnet.activations import SiLU as SiLU
    from glassnet.activations import Softplus as Softplus
    from glassnet.activations import Tanh as Tanh
    from glassnet.attribution import attribute as attribute
    from glassnet.augmentation import RandomShift as RandomShift
    from glassnet.checkpoints import Checkpoint as Checkpoint
    from glassnet.comparing import compare as compare
    from glassnet.comparison import Comparison as Comparison
    from glassnet.compilation import use_cache as use_cache
    from glassnet.cross_validation import CrossValidation as CrossValidation
    from glassnet.cross_validation import cross_validate as cross_validate
    from glassnet.datasets import read as read
    from glassnet.dependence import partial_dependence as partial_dependence
    from glassnet.diagnosis import diagnose as diagnose
    from glassnet.divergence import Rollback as Rollback
    from glassnet.embeddings import Embedding as Embedding
    from glassnet.embeddings import Periodic as Periodic
    from glassnet.embeddings import Scale as Scale
    from glassnet.errors import CheckpointError as CheckpointError
    from glassnet.errors import ConfigurationError as ConfigurationError
    from glassnet.errors import DataError as DataError
    from glassnet.errors import DivergenceError as DivergenceError
    from glassnet.errors import GlassnetError as GlassnetError
    from glassnet.errors import ModelFormatError as ModelFormatError
    from glassnet.errors import TrainingWarning as TrainingWarning
    from glassnet.estimators import NeuralClassifier as NeuralClassifier
    from glassnet.estimators import NeuralRegressor as NeuralRegressor
    from glassnet.evaluation import evaluate as evaluate
    from glassnet.examples import confusions as confusions
    from glassnet.examples import prototypes as prototypes
    from glassnet.examples import strongest_examples as strongest_examples
    from glassnet.exporting import export as export
    from glassnet.findings import Diagnosis as Diagnosis
    from glassnet.findings import Finding as Finding
    from glassnet.fitting import EarlyStopping as EarlyStopping
    from glassnet.fitting import Event as Event
    from glassnet.history import History as History
    from glassnet.importance import permutation_importance as permutation_importance
    from glassnet.initializers import Glorot as Glorot
    from glassnet.initializers import He as He
    from glassnet.initializers import LeCun as LeCun
    from glassnet.initializers import Normal as Normal
    from glassnet.initializers import Uniform as Uniform
    from glassnet.initializers import Zeros as Zeros
    from glassnet.layers import BatchNorm as BatchNorm
    from glassnet.layers import Dense as Dense
    from glassnet.layers import Dropout as Dropout
    from glassnet.layers import Flatten as Flatten
    from glassnet.layers import Layer as Layer
    from glassnet.layers import Rescale as Rescale
    from glassnet.layers import Trait as Trait
    from glassnet.losses import BinaryCrossEntropy as BinaryCrossEntropy
    from glassnet.losses import CrossEntropy as CrossEntropy
    from glassnet.losses import CustomLoss as CustomLoss
    from glassnet.losses import Huber as Huber
    from glassnet.losses import Loss as Loss
    from glassnet.losses import MeanAbsoluteError as MeanAbsoluteError
    from glassnet.losses import MeanSquaredError as MeanSquaredError
    from glassnet.model import Model as Model
    from glassnet.network import Network as Network
    from glassnet.neurons import maximize_activation as maximize_activation
    from glassnet.optimizers import SGD as SGD
    from glassnet.optimizers import Adam as Adam
    from glassnet.optimizers import AdamW as AdamW
    from glassnet.optimizers import Momentum as Momentum
    from glassnet.optimizers import RMSprop as RMSprop
    from glassnet.persistence import load as load
    from glassnet.persistence import save as save
    from glassnet.progress import ProgressBar as ProgressBar
    from glassnet.run import Run as Run
    from glassnet.run import train as train
    from glassnet.schedules import Constant as Constant
    from glassnet.schedules import Cosine as Cosine
    from glassnet.schedules import Exponential as Exponential
    from glassnet.schedules import OneCycle as OneCycle
    from glassnet.schedules import Step as Step
    from glassnet.schedules import WarmUp as WarmUp
    from glassnet.skl2onnx_converter import register_skl2onnx as register_skl2onnx
    from glassnet.sweeps import LearningRates as LearningRates
    from glassnet.sweeps import Sweep as Sweep
    from glassnet.sweeps import Trial as Trial
    from glassnet.sweeps import find_learning_rate as find_learning_rate
    from glassnet.sweeps import sweep as sweep
    from glassnet.tables import Table as Table
    from glassnet.tracing import Trace as Trace
    from glassnet.tracing import trace as trace
    from glassnet.wrappers import Averaged as Averaged
    from glassnet.wrappers import ClipByNorm as ClipByNorm

__version__ = "0.1.0"

_HOMES = {
    "activations": "GELU SELU Identity LeakyReLU Mish ReLU Sigmoid SiLU Softplus Tanh",
    "attribution": "attribute",
    "augmentation": "RandomShift",
    "checkpoints": "Checkpoint",
    "comparing": "compare",
    "comparison": "Comparison",
    "compilation": "use_cache",
    "cross_validation": "CrossValidation cross_validate",
    "datasets": "read",
    "diagnosis": "diagnose",
    "dependence": "partial_dependence",
    "divergence": "Rollback",
    "embeddings": "Embedding Periodic Scale",
    "errors": "CheckpointError ConfigurationError DataError DivergenceError GlassnetError ModelFormatError"
    " TrainingWarning",
    "estimators": "NeuralClassifier NeuralRegressor",
    "evaluation": "evaluate",
    "findings": "Diagnosis Finding",
    "examples": "confusions prototypes strongest_examples",
    "exporting": "export",
    "fitting": "EarlyStopping Event",
    "history": "History",
    "importance": "permutation_importance",
    "initializers": "Glorot He LeCun Normal Uniform Zeros",
    "layers": "BatchNorm Dense Dropout Flatten Layer Rescale Trait",
    "losses": "BinaryCrossEntropy CrossEntropy CustomLoss Huber Loss MeanAbsoluteError MeanSquaredError",
    "model": "Model",
    "network": "Network",
    "neurons": "maximize_activation",
    "optimizers": "SGD Adam AdamW Momentum RMSprop",
    "persistence": "load save",
    "progress": "ProgressBar",
    "run": "Run train",
    "schedules": "Constant Cosine Exponential OneCycle Step WarmUp",
    "skl2onnx_converter": "register_skl2onnx",
    "sweeps": "LearningRates Sweep Trial find_learning_rate sweep",
    "tables": "Table",
    "tracing": "Trace trace",
    "wrappers": "Averaged ClipByNorm",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

_MODULES = ("figures", "keys")  # public as they are: `gn.keys.key(0)`

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> Any:
    """Import a public name from its module, once."""
    if name in _MODULES:
        return import_module(f"glassnet.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'glassnet' has no attribute '{name}'")
    from glassnet.compilation import collection_paused, use_cache_if_asked

    with collection_paused():
        module = import_module(f"glassnet.{_HOME_OF[name]}")
    if "jax" in sys.modules and not _asked:
        _asked.append(True)
        use_cache_if_asked()
    return globals().setdefault(name, getattr(module, name))


_asked: list[bool] = []  # whether the environment was asked for a cache of compiled programs


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
