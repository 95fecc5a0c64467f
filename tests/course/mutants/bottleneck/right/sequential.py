"""The branch as one sequence, names given afterwards; counts taken from built layers."""


# %% bottleneck
class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels, channels, stride=1, stride_on="3x3"):
        super().__init__()
        strides = {"1x1": (stride, 1, 1), "3x3": (1, stride, 1)}[stride_on]
        widths = (in_channels, channels, channels, channels * self.expansion)
        for i, (kernel, s) in enumerate(zip((1, 3, 1), strides, strict=True)):
            conv = nn.Conv2d(widths[i], widths[i + 1], kernel, s, kernel // 2, bias=False)
            setattr(self, f"conv{i + 1}", conv)
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        if in_channels == widths[-1] and stride == 1:
            self.shortcut = nn.Sequential()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, widths[-1], kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(widths[-1])
            )
        self.relu = nn.ReLU()

    def forward(self, x):
        out = x
        for i in (1, 2, 3):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            if i < 3:
                out = self.relu(out)
        return self.relu(self.shortcut(x) + out)


# %% conv_parameters
def conv_parameters(in_channels, out_channels, kernel, groups=1):
    return nn.Conv2d(in_channels, out_channels, kernel, groups=groups, bias=False).weight.numel()


# %% conv_multiply_adds
import math


def conv_multiply_adds(in_channels, out_channels, kernel, height, width, stride=1, groups=1):
    positions = math.ceil(height / stride) * math.ceil(width / stride)
    return positions * conv_parameters(in_channels, out_channels, kernel, groups)


# %% bottleneck_parameters
def bottleneck_parameters(in_channels, channels, stride):
    return sum(p.numel() for p in Bottleneck(in_channels, channels, stride).parameters())


# %% stride_costs
def stride_costs(in_channels, channels, height, width):
    def cost(first, second):
        h, w = (-(-height // first), -(-width // first))
        return (
            conv_multiply_adds(in_channels, channels, 1, height, width, first)
            + conv_multiply_adds(channels, channels, 3, h, w, second)
            + conv_multiply_adds(channels, 4 * channels, 1, -(-height // 2), -(-width // 2))
            + conv_multiply_adds(in_channels, 4 * channels, 1, height, width, 2)
        )

    return cost(2, 1), cost(1, 2)


# %% share_read
def share_read(module, channels, height, width):
    image = torch.rand(1, channels, height, width, dtype=torch.float32).requires_grad_()
    gradient = torch.autograd.grad((module(image) ** 2).sum(), [image])[0]
    read = gradient.abs().amax(dim=1) > 0
    return float(read.sum()) / (height * width)


# %% blocks_per_stage
def blocks_per_stage(depth, block):
    per_block = 2 if block == "basic" else 3
    n, rest = divmod(depth - 2, 3 * per_block)
    if rest != 0 or n <= 0:
        raise ValueError("no network has %d layers" % depth)
    return n
