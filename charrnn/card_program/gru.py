import numpy as np


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def cell(x, state, kernel, recurrent, bias):  # a GRU; z keeps, r forgets
    (h,), a = state, x @ kernel + bias[0]
    b, n = h @ recurrent + bias[1], 2 * len(h)
    z, r = np.split(sigmoid(a[:n] + b[:n]), 2)
    return (z * h + (1 - z) * np.tanh(a[n:] + r * b[n:]),)
