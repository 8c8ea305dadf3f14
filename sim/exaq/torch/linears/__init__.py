"""Weights of 4 bits and activations of 8 in a model's linear layers.

``quantize_linears`` is all there is to use. linear_layers.py finds the layers, data_flow.py what
stands before each, layer_inputs.py records what they are given, level_rounding.py rounds as
``exaq.dint`` does, scale_search.py finds clips, channel_scales.py AQAS, quantized_linears.py puts
it all into the model.
"""

from exaq.torch.linears.quantized_linears import QuantizedLinears, quantize_linears

__all__ = ["QuantizedLinears", "quantize_linears"]
