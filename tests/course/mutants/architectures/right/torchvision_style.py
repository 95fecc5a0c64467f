"""As torchvision writes it: _make_layer's habits, downsample None, an average pooling module."""


# %% own_blocks
class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes * self.expansion:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        return self.relu(out + identity)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        width = planes * self.expansion
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, width, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inplanes != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, width, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + identity)


# %% make_stage
def make_stage(block, in_channels, channels, count, stride):
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(block.expansion * channels, channels) for _ in range(count - 1)))


# %% resnet
class ResNet(nn.Module):
    def __init__(self, depth, num_classes=1000, width=64):
        super().__init__()
        try:
            block, layers = {
                18: (BasicBlock, [2, 2, 2, 2]),
                34: (BasicBlock, [3, 4, 6, 3]),
                50: (Bottleneck, [3, 4, 6, 3]),
            }[depth]
        except KeyError:
            raise ValueError(depth) from None
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        e = block.expansion
        self.layer1 = make_stage(block, width, width, layers[0], 1)
        self.layer2 = make_stage(block, width * e, 2 * width, layers[1], 2)
        self.layer3 = make_stage(block, 2 * width * e, 4 * width, layers[2], 2)
        self.layer4 = make_stage(block, 4 * width * e, 8 * width, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width * e, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


# %% depth_of
def depth_of(network):
    names = {name.rsplit(".", 1)[0] for name, p in network.named_parameters() if p.dim() >= 2}
    return len([name for name in names if ".downsample." not in f".{name}."])


# %% load_weights
from collections import OrderedDict


def load_weights(network, state):
    prefix = "module."
    if state and all(key[: len(prefix)] == prefix for key in state):
        state = OrderedDict((key[len(prefix) :], value) for key, value in state.items())
    missing, unexpected = network.load_state_dict(state, strict=False)
    if missing or unexpected:
        raise KeyError(f"missing {missing}, unexpected {unexpected}")
    return network


# %% predict
import copy


@torch.inference_mode()
def predict(network, images):
    return copy.deepcopy(network).eval()(images)


# %% for_small_images
def for_small_images(network):
    filters, channels = network.conv1.weight.shape[:2]
    network.conv1 = nn.Conv2d(channels, filters, kernel_size=3, stride=1, padding="same", bias=False)
    network.maxpool = nn.Sequential()
    return network
