"""A small ONNX file, written by hand: nothing else needs the onnx package."""

import numpy as np

FILTERS = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype("<f4") / 64
FILTERS -= FILTERS.mean((2, 3), keepdims=True)  # so they respond to edges, not brightness


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protobuf message of (number, value) fields, which is all that an ONNX file is made of."""

    def varint(value: int) -> bytes:
        return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)

    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [varint(number * 8), varint(value)]
        else:
            content = value.encode() if isinstance(value, str) else value
            parts += [varint(number * 8 + 2), varint(len(content)), content]
    return b"".join(parts)


def onnx_network(
    source: str = "images",  # name of the input
    result: str = "features",  # name of the output
    side: int | None = None,  # of the images, pixels; None for any
    gain: float = 1.0,  # of the filters
) -> bytes:
    """An ONNX file: 3x3 convolution with FILTERS, ReLU, mean over positions -> (N, 8).

    The field numbers are those of onnx.proto.
    """

    def value(name: str, *dims: int | str) -> bytes:
        sizes = [(1, _message((1, dim) if isinstance(dim, int) else (2, dim))) for dim in dims]
        return _message((1, name), (2, _message((1, _message((1, 1), (2, _message(*sizes)))))))

    def node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> tuple[int, bytes]:
        names = [(1, name) for name in inputs]
        return 1, _message(*names, (2, output), (4, kind), *((5, attribute) for attribute in attributes))

    filters = FILTERS * np.float32(gain)
    tensor = _message(*((1, dim) for dim in filters.shape), (2, 1), (8, "filters"), (9, filters.tobytes()))
    graph = _message(
        node("Conv", [source, "filters"], "c"),
        node("Relu", ["c"], "r"),
        node(
            "ReduceMean",
            ["r"],
            result,
            _message((1, "axes"), (8, 2), (8, 3), (20, 7)),
            _message((1, "keepdims"), (3, 0), (20, 2)),
        ),
        (2, "tiny"),
        (5, tensor),
        (11, value(source, "N", 3, side or "H", side or "W")),
        (12, value(result, "N", 8)),
    )
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))))
