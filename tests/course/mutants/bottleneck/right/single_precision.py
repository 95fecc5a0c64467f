"""A mean of truth values, in single precision."""


# %% share_read
def share_read(module, channels, height, width):
    x = torch.rand(1, channels, height, width, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x).pow(2).sum(), x)
    return (gradient != 0).any(1).float().mean().item()
