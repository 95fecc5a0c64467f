"""Functions instead of modules, loops instead of slices, and the smallest classes that will do."""


# %% shortcut_a
def shortcut_a(x, out_channels, stride):
    n, c, h, w = x.shape
    rows, columns = range(0, h, stride), range(0, w, stride)
    taken = x.index_select(2, torch.tensor(rows)).index_select(3, torch.tensor(columns))
    extra = out_channels - c
    front = x.new_zeros(n, extra // 2, len(rows), len(columns))
    back = x.new_zeros(n, extra - extra // 2, len(rows), len(columns))
    return torch.cat((front, taken, back), dim=1)


# %% shortcut_b
def shortcut_b(in_channels, out_channels, stride):
    layers = []
    if in_channels != out_channels or stride > 1:
        layers += [nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)]
        layers += [nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers)


# %% basic_block
class BasicBlock(nn.Module):
    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        for number, (width, step) in enumerate(((in_channels, stride), (channels, 1)), start=1):
            self.add_module(f"conv{number}", nn.Conv2d(width, channels, 3, step, 1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels))
        self.shortcut = shortcut_b(in_channels, channels, stride)

    def forward(self, x):
        identity = self.shortcut(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.add(identity, self.bn2(self.conv2(out)))
        return torch.clamp(out, min=0)


# %% zero_init
def zero_init(block):
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    return block


# %% response
def response(block, x):
    result = None

    def hook(module, inputs, output):
        nonlocal result
        result = 1.0 * output.detach()

    handle = block.bn2.register_forward_hook(hook)
    with torch.no_grad():
        block(x)
    handle.remove()
    return result


# %% block_parameters
def block_parameters(in_channels, channels, stride, option):
    total = 0
    for width in (in_channels, channels):
        total += channels * (width * 3**2 + 2)
    if option == "B" and not (stride == 1 and in_channels == channels):
        total += channels * (in_channels + 2)
    return total
