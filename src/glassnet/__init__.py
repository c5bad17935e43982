"""Neural networks with glass walls."""

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
from glassnet.layers import BatchNorm as BatchNorm
from glassnet.layers import Dense as Dense
from glassnet.layers import Dropout as Dropout
from glassnet.layers import Flatten as Flatten
from glassnet.layers import Layer as Layer
from glassnet.layers import Rescale as Rescale
from glassnet.losses import *
from glassnet.network import Network as Network
from glassnet.optimizers import *
from glassnet.persistence import load as load
from glassnet.persistence import save as save
from glassnet.run import train as train
from glassnet.estimators import NeuralClassifier as NeuralClassifier
from glassnet.estimators import NeuralRegressor as NeuralRegressor
from glassnet.fitting import EarlyStopping as EarlyStopping
