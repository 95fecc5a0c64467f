"""A recursive count, a loop with chunks for prediction, stages from a table."""


# %% make_stage
def make_stage(block, in_channels, channels, count, stride):
    stage = nn.Sequential()
    for name, s in enumerate([stride] + [1] * (count - 1)):
        stage.add_module(str(name), block(in_channels, channels, s))
        in_channels = channels * block.expansion
    return stage


# %% depth_of
def depth_of(module):
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return 1
    return sum(depth_of(child) for name, child in module.named_children() if name != "downsample")


# %% predict
def predict(network, images):
    modes = [(m, m.training) for m in network.modules()]
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(chunk) for chunk in images.split(2)])
    for m, mode in modes:
        m.training = mode
    return logits
