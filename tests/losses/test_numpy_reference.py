"""The reference that the other tests lean on: its gradients equal central differences."""

import numpy as np

from support import numpy_reference as reference


def differences(f, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (f(up) - f(down)) / (2 * step)
    return gradient


def test_gradients_of_info_nce_are_central_differences():
    rng = np.random.default_rng(0)
    q, c = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    settings = {"scale": 7.0, "margin": 0.2, "positives": [4, 0, 2], "excluded": rng.random((3, 5)) < 0.3}
    cotangent = np.array([0.5, -1.0, 2.0])
    _, dq, dc = reference.info_nce(q, c, cotangent=cotangent, **settings)
    np.testing.assert_allclose(
        dq, differences(lambda x: cotangent @ reference.info_nce(x, c, **settings)[0], q), atol=1e-7
    )
    np.testing.assert_allclose(
        dc, differences(lambda x: cotangent @ reference.info_nce(q, x, **settings)[0], c), atol=1e-7
    )


def test_gradients_of_the_batch_loss_are_central_differences():
    rng = np.random.default_rng(1)
    a, p = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    words = np.array([[0, 0], [1, 0], [0, 0], [3, 0], [4, 0], [5, 0]], np.uint32)
    settings = {"scale": 5.0, "margin": 0.3, "directions": "sum", "anchor_hashes": words}
    settings |= {"weights": np.array([1, 0.5, 1, 2, 0, 1.0]), "blocks": 2}
    result = reference.bidirectional(a, p, **settings)
    by_a = differences(lambda x: reference.bidirectional(x, p, **settings).loss, a)
    by_p = differences(lambda x: reference.bidirectional(a, x, **settings).loss, p)
    np.testing.assert_allclose(result.anchor_gradient, by_a, atol=1e-7)
    np.testing.assert_allclose(result.positive_gradient, by_p, atol=1e-7)
