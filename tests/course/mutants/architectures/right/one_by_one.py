"""Images one at a time: other sums, other rounding."""


# %% predict
def predict(network, images):
    mode = network.training
    network.eval()
    with torch.no_grad():
        logits = [network(image[None]) for image in images]
    network.train(mode)
    return torch.cat(logits)
