"""ERFNet: a small real-time segmentation network, and how its weights are loaded.

Romera et al., "ERFNet: Efficient Residual Factorized ConvNet for Real-Time Semantic Segmentation" (T-ITS 2018):
downsampler blocks, residual blocks of 3x1 and 1x3 convolutions, dilated in the encoder, transposed convolutions in the
decoder. Modules are named as in the weights that are commonly shared for it.

    python examples/erfnet.py [WEIGHTS]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

SIZE_HW = (512, 1024)
"""The size of the images that it was trained on."""

STEM = 7
"""How many of the encoder's layers, after the initial block, come before the dilated ones."""


class Downsampler(nn.Module):
    """Strided convolution and max-pooling, side by side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, C, H, W]`` -> ``[B, C', H/2, W/2]``."""
        return torch.relu(self.bn(torch.cat([self.conv(x), self.pool(x)], dim=1)))


class NonBottleneck1D(nn.Module):
    """Residual block of two 3x3 convolutions, each factorised into 3x1 and 1x3; the second pair is dilated."""

    def __init__(self, channels: int, dropout: float, dilation: int) -> None:
        super().__init__()
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(channels, eps=1e-3)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation))
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-3)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        y = torch.relu(self.conv3x1_1(x))
        y = torch.relu(self.bn1(self.conv1x3_1(y)))
        y = torch.relu(self.conv3x1_2(y))
        y = self.dropout(self.bn2(self.conv1x3_2(y)))
        return torch.relu(x + y)


class Upsampler(nn.Module):
    """Transposed convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, C, H, W]`` -> ``[B, C', 2H, 2W]``."""
        return torch.relu(self.bn(self.conv(x)))


class Encoder(nn.Module):
    """To 128 channels at an eighth of the size. ``output_conv`` is its head while it is trained alone."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.initial_block = Downsampler(3, 16)
        layers: list[nn.Module] = [Downsampler(16, 64)]
        layers += [NonBottleneck1D(64, 0.03, 1) for _ in range(5)]
        layers += [Downsampler(64, 128)]
        layers += [NonBottleneck1D(128, 0.3, dilation) for dilation in (2, 4, 8, 16) * 2]
        self.layers = nn.ModuleList(layers)
        self.output_conv = nn.Conv2d(128, classes, 1)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """The blocks before the dilated ones: ``[B, 3, H, W]`` -> ``[B, 128, H/8, W/8]``."""
        return _in_turn([self.initial_block, *self.layers[:STEM]], x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 3, H, W]`` -> ``[B, 128, H/8, W/8]``."""
        return _in_turn(self.layers[STEM:], self.stem(x))


class Decoder(nn.Module):
    """Back to the full size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                *(Upsampler(128, 64), NonBottleneck1D(64, 0, 1), NonBottleneck1D(64, 0, 1)),
                *(Upsampler(64, 16), NonBottleneck1D(16, 0, 1), NonBottleneck1D(16, 0, 1)),
            ]
        )
        self.output_conv = nn.ConvTranspose2d(16, classes, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 128, H/8, W/8]`` -> ``[B, classes, H, W]``."""
        return _in_turn([*self.layers, self.output_conv], x)


class ERFNet(nn.Module):
    """Logits of ``classes`` classes for RGB images in [0, 1] whose sides are multiples of 8."""

    def __init__(self, classes: int = 20) -> None:
        super().__init__()
        self.encoder = Encoder(classes)
        self.decoder = Decoder(classes)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """What the encoder's stem gave -> logits."""
        return _in_turn([*self.encoder.layers[STEM:], self.decoder], features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float ``[B, 3, H, W]`` -> ``[B, classes, H, W]``."""
        return self.head(self.encoder.stem(images))


def _in_turn(layers: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        x = layer(x)
    return x


def load_erfnet(weights: str | Path) -> ERFNet:
    """ERFNet in eval mode from a state dict; half precision becomes float32."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    model = ERFNet(state["decoder.output_conv.bias"].numel())
    model.load_state_dict(state)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="?", help="a state dict; without it, random weights")
    parser.add_argument("--smoke", action="store_true", help="a small image")
    options = parser.parse_args()
    model = load_erfnet(options.weights) if options.weights else ERFNet().eval()
    height, width = (64, 128) if options.smoke else SIZE_HW
    with torch.inference_mode():
        logits = model(torch.rand(1, 3, height, width))
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{count:,} parameters; a {width}x{height} image gives logits {list(logits.shape)}")


if __name__ == "__main__":
    main()
