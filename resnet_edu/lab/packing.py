"""The digits in few bytes: a range coder whose probabilities adapt, those of each pixel apart.

A page's file is sent compressed with gzip, which knows one statistic for all pixels; most of a digit's border is empty.
The coder is that of LZMA (Martin 1979's range coder with binary decisions, see the LZMA specification, "Range
Decoder"); ``front/engine/data.mjs`` has the way back.
"""

import base64

TOP, HALF, SPEED = 1 << 24, 1 << 10, 5  # renormalisation, a new probability (of 2048), rate of adaption


def pack_images(values: list[int], pixels: int) -> str:
    """Return pixel values 0 … 16, image by image, ``pixels`` each, as base64 text.

    A value is five decisions, highest bit first; a decision's probability depends on the pixel and the bits before it.
    """
    probabilities = [[HALF] * 32 for _ in range(pixels)]
    low, width, out = 0, 0xFFFFFFFF, bytearray()
    for place, value in enumerate(values):
        tree, node = probabilities[place % pixels], 1
        for shift in (4, 3, 2, 1, 0):
            bit = value >> shift & 1
            bound = (width >> 11) * tree[node]
            if bit:
                low, width = low + bound, width - bound
                tree[node] -= tree[node] >> SPEED
            else:
                width = bound
                tree[node] += (2048 - tree[node]) >> SPEED
            node = 2 * node + bit
            while width < TOP:
                width, low = width << 8, _emit(low, out)
    for _ in range(4):
        low = _emit(low, out)
    return base64.b64encode(bytes(out)).decode()


def _emit(low: int, out: bytearray) -> int:
    """Move the highest byte of ``low`` to the output, with the carry into what is already there."""
    if low >> 32:
        place = len(out) - 1
        while out[place] == 255:
            out[place] = 0
            place -= 1
        out[place] += 1
    out.append(low >> 24 & 255)
    return (low & 0xFFFFFF) << 8
