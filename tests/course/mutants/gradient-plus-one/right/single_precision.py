"""Products and roots in single precision."""


# %% backpropagate
def backpropagate(jacobians, gradient):
    back = gradient.float()
    for link in reversed(jacobians):
        back = link.float().T @ back
    return back


# %% residual_jacobian
def residual_jacobian(branch, x, relu_after):
    J = torch.eye(x.numel()) + jacobian(branch, x).float()
    if relu_after:
        with torch.no_grad():
            J[(x + branch(x)).flatten() <= 0] = 0
    return J


# %% growth_per_layer
def growth_per_layer(norms):
    logarithms = torch.tensor(norms).log()
    return (-logarithms.diff()).mean().exp().item()
