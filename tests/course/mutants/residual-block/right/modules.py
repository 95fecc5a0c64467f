"""Everything as modules in sequences; counting by building."""


# %% shortcut_a
def shortcut_a(x, out_channels, stride):
    y = F.max_pool2d(x, kernel_size=1, stride=stride)
    extra = out_channels - y.shape[1]
    out = torch.zeros(y.shape[0], out_channels, y.shape[2], y.shape[3])
    out[:, extra // 2 : extra // 2 + y.shape[1]] = y
    return out


# %% shortcut_b
class Projection(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return self.bn(self.conv(x))


def shortcut_b(in_channels, out_channels, stride):
    same = in_channels == out_channels and stride == 1
    return nn.Identity() if same else Projection(in_channels, out_channels, stride)


# %% basic_block
def conv3x3(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride=stride, padding="same" if stride == 1 else 1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(in_channels, channels, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv3x3(channels, channels), nn.BatchNorm2d(channels)
        self.shortcut = shortcut_b(in_channels, channels, stride)
        self.act = nn.ReLU()

    def branch(self, x):
        return nn.Sequential(self.conv1, self.bn1, self.act, self.conv2, self.bn2)(x)

    def forward(self, x):
        return self.act(self.branch(x) + self.shortcut(x))


# %% zero_init
def zero_init(block):
    block.bn2.weight.data = torch.zeros_like(block.bn2.weight.data)
    block.bn2.bias.data.mul_(0)
    return block


# %% response
class Recorder:
    def __call__(self, module, inputs, output):
        self.value = torch.tensor(output.detach().numpy().copy())


def response(block, x):
    recorder = Recorder()
    handle = block.bn2.register_forward_hook(recorder)
    block(x)
    handle.remove()
    return recorder.value


# %% block_parameters
def block_parameters(in_channels, channels, stride, option):
    modules = [nn.Conv2d(in_channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
    modules += [nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)]
    if option == "B":
        modules.append(shortcut_b(in_channels, channels, stride))
    return sum(p.numel() for module in modules for p in module.parameters())
