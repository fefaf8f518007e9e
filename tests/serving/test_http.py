"""The service over HTTP, as clients see it."""

import base64
import io
import json
import random
import re
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.checkpoint import load_generator
from models.sampler import Sampler

LABELS = ["tabby", "café, noir", "wild"]  # of the model cats


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    answer = client.post("/generate", json=fields)
    assert answer.status_code == 200, answer.text
    return answer


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def events(client: httpx.Client, **fields: Any) -> Iterator[tuple[str, dict[str, Any], float]]:
    """The events of a growing picture: name, data, seconds since it was asked for."""
    request = time.perf_counter()
    with client.stream("POST", "/generate_progressive", json=fields) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        for line in lines:
            if line:
                data = next(lines)
                yield (
                    line.removeprefix("event: "),
                    json.loads(data.removeprefix("data: ")),
                    time.perf_counter() - request,
                )


def generated(client: httpx.Client, model: str, resolution: int) -> float:
    """Number of images that the service has generated, by its own count."""
    labels = f'crescendo_pictures_total{{model="{model}",resolution="{resolution}"}} '
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.removeprefix(labels)) for line in lines if line.startswith(labels)), 0.0)


# --- One picture ---


def test_seed_gives_one_picture(client: httpx.Client) -> None:
    first, again, other = (ask(client, seed=seed) for seed in (7, 7, 8))
    assert first.content == again.content != other.content
    assert first.headers["content-type"] == "image/png"
    headers = [first.headers[name] for name in ("x-model", "x-seed", "x-count", "x-resolution")]
    assert headers == ["tiny", "7", "1", "16"]


def test_pictures_are_the_samplers(client: httpx.Client, model_folders: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    for name in ("tiny", "grey", "alpha", "run"):
        expected = Sampler(load_generator(model_folders[name])).generate([3], truncation=0.6)[0]
        got = pixels(ask(client, model=name, seed=3, truncation=0.6).content)
        np.testing.assert_array_equal(got, expected.permute(1, 2, 0).numpy().squeeze())


def test_missing_seed_is_random_and_reported(client: httpx.Client) -> None:
    answers = [client.post("/generate"), client.post("/generate", json={})]
    seeds = [int(answer.headers["x-seed"]) for answer in answers]
    assert seeds[0] != seeds[1]
    assert all(ask(client, seed=s).content == a.content for s, a in zip(seeds, answers, strict=True))


def test_resolution_and_truncation(client: httpx.Client) -> None:
    assert pixels(ask(client, seed=1, resolution=8).content).shape == (8, 8, 3)
    full, half, none, none_of_other = (
        ask(client, seed=seed, truncation=t).content for seed, t in ((1, 1), (1, 0.5), (1, 0), (2, 0))
    )
    assert len({full, half, none}) == 3
    assert none == none_of_other  # the mean of the distribution has no seed


def test_formats(client: httpx.Client) -> None:
    exact = pixels(ask(client, seed=1).content)
    for how in ("png", "webp", "jpeg"):
        answer = ask(client, seed=1, format=how)
        assert answer.headers["content-type"] == f"image/{how}"
        assert Image.open(io.BytesIO(answer.content)).format == how.upper()
        if how != "jpeg":
            np.testing.assert_array_equal(pixels(answer.content), exact)


# --- Several ---


def test_grid_and_zip(client: httpx.Client) -> None:
    singles = {seed: ask(client, seed=seed).content for seed in range(5, 9)}
    grid = ask(client, seed=5, count=4)
    assert (grid.headers["x-seed"], grid.headers["x-count"]) == ("5", "4")
    tiles = pixels(grid.content).reshape(2, 16, 2, 16, 3).swapaxes(1, 2).reshape(4, 16, 16, 3)
    np.testing.assert_array_equal(tiles, [pixels(content) for content in singles.values()])
    packed = ask(client, seed=5, count=4, layout="zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
        assert {name: file.read(name) for name in file.namelist()} == {
            f"{seed}.png": content for seed, content in singles.items()
        }


def test_a_batch_changes_no_picture(client: httpx.Client) -> None:
    def batches() -> float:
        found = re.search(r"adaptive_batch_size_count{.*} (\S+)", client.get("/metrics").text)
        assert found
        return float(found[1])

    request = [
        {"model": model, "seed": seed, "truncation": truncation, "count": count, "layout": "zip"}
        for model, seed, truncation, count in (
            (("tiny", "grey", "run")[i % 3], i % 5, (1, 0.7, 0.3)[i % 3], 1 + i % 7) for i in range(40)
        )
    ]
    alone = [ask(client, **fields).content for fields in request]
    before = batches()
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda fields: ask(client, **fields).content, request))
    after = batches()
    assert together == alone
    assert after - before < len(request)  # requests did share batches


# --- Labels ---


def labels(answer: httpx.Response) -> list[str]:
    return [unquote(label) for label in answer.headers["x-label"].split(",")]


def test_a_label_and_a_seed_give_one_picture(client: httpx.Client, model_folders: dict[str, Any]) -> None:
    sampler = Sampler(load_generator(model_folders["cats"]))
    contents = set()
    for label in LABELS:
        answer = ask(client, model="cats", seed=3, label=label)
        assert labels(answer) == [label]
        expected = sampler.generate([3], label=label)[0]
        np.testing.assert_array_equal(pixels(answer.content), expected.permute(1, 2, 0).numpy())
        contents.add(answer.content)
    assert len(contents) == len(LABELS)


def test_without_a_label_each_seed_draws_its_own(client: httpx.Client) -> None:
    drawn = ask(client, model="cats", seed=0, count=16, layout="zip")
    assert set(labels(drawn)) == set(LABELS)
    with zipfile.ZipFile(io.BytesIO(drawn.content)) as file:
        for seed, label in enumerate(labels(drawn)):
            assert file.read(f"{seed}.png") == ask(client, model="cats", seed=seed, label=label).content
    assert labels(ask(client, model="cats", seed=0, count=3, label="wild")) == ["wild"] * 3
    assert "x-label" not in ask(client, seed=0).headers


def test_a_growing_picture_has_its_label(client: httpx.Client) -> None:
    for label in LABELS:
        *images, _ = events(client, model="cats", seed=3, label=label)
        assert [data["label"] for _, data, _ in images] == [label] * 2
        whole = ask(client, model="cats", seed=3, label=label).content
        assert base64.b64decode(images[-1][1]["image"]) == whole


# --- Growing ones ---


def test_growth_ends_in_the_generated_picture(client: httpx.Client) -> None:
    *images, last = events(client, seed=4, truncation=0.5, format="webp")
    assert last[0] == "done"
    for index, (name, data, _) in enumerate(images, 1):
        side = 2 << index
        assert name == "image"
        assert pixels(base64.b64decode(data["image"])).shape == (side, side, 3)
        assert {key: data[key] for key in data.keys() - {"image"}} == {
            "resolution": side, "height": side, "width": side,
            "index": index, "of": 3, "seed": 4, "label": None, "model": "tiny", "format": "webp"
        }  # fmt: skip
    whole = ask(client, seed=4, truncation=0.5, format="webp").content
    assert base64.b64decode(images[-1][1]["image"]) == whole


@pytest.mark.parametrize(("name", "height", "width"), [("grey", 8, 12), ("alpha", 10, 8)])
def test_pictures_that_are_not_square(client: httpx.Client, name: str, height: int, width: int) -> None:
    (model,) = (each for each in client.get("/models").json()["models"] if each["name"] == name)
    assert (model["height"], model["width"], model["resolutions"]) == (height, width, [4, 8])
    *images, _ = events(client, model=name, seed=1)
    sizes = [pixels(base64.b64decode(data["image"])).shape[:2] for _, data, _ in images]
    assert sizes == [(height // 2, width // 2), (height, width)]
    assert [(data["height"], data["width"]) for _, data, _ in images] == sizes
    assert pixels(ask(client, model=name, seed=1, count=6).content).shape[:2] == (2 * height, 3 * width)


def test_growth_stops_at_the_resolution_asked_for(client: httpx.Client) -> None:
    sides = [data.get("resolution") for _, data, _ in events(client, seed=4, resolution=8)]
    assert sides == [4, 8, None]


def test_stages_are_sent_as_soon_as_they_exist(client: httpx.Client) -> None:
    arrived = {data["resolution"]: at for name, data, at in events(client, model="slow") if name == "image"}
    assert list(arrived) == [4, 8, 16, 32, 64, 128, 256, 512]
    # The last stage takes most of the time: were each sent only after the next is computed, or all together,
    # the one before the last would come with the last.
    assert arrived[512] - arrived[256] > 0.5 * arrived[512]


def test_a_client_that_leaves_stops_the_work(client: httpx.Client) -> None:
    *_, (_, _, takes) = events(client, model="slow", seed=1)
    before = {side: generated(client, "slow", side) for side in (4, 512)}
    growth = events(client, model="slow", seed=1)
    assert next(growth)[1]["resolution"] == 4
    growth.close()  # type: ignore[attr-defined]
    time.sleep(2 * takes)
    assert generated(client, "slow", 4) == before[4] + 1
    assert generated(client, "slow", 512) == before[512]


# --- What is refused ---

BAD = [
    (
        {"model": "nobody"},
        404,
        "there is no model 'nobody'; the models are tiny, grey, alpha, slow, cats, run",
    ),
    ({"resolution": 32}, 400, "model tiny has no resolution 32; it has 4, 8, 16"),
    ({"resolution": 0}, 400, "resolution must be"),
    ({"truncation": 1.01}, 400, "truncation must be less than or equal to 1"),
    ({"truncation": -0.1}, 400, "truncation must be greater than or equal to 0"),
    ({"truncation": "0.5"}, 400, "truncation must be a valid number"),
    ({"seed": -1}, 400, "seed must be greater than or equal to 0"),
    ({"seed": 2**32}, 400, "seed must be less than or equal to 4294967295"),
    ({"seed": 2**32 - 1, "count": 2}, 400, "seed + count - 1 must be at most 4294967295"),
    ({"seed": 1.5}, 400, "seed must be a valid integer"),
    ({"seed": True}, 400, "seed must be a valid integer"),
    ({"seed": "7"}, 400, "seed must be a valid integer"),
    ({"count": 0}, 400, "count must be greater than or equal to 1"),
    ({"count": 65}, 400, "count must be less than or equal to 64"),
    ({"model": "slow", "count": 64, "resolution": 512, "seed": 0, "x": 1}, 400, "there is no field 'x'"),
    (
        {"model": "cats", "label": "lion"},
        400,
        "there is no label 'lion'; the model has tabby, café, noir, wild",
    ),
    ({"model": "cats", "label": ""}, 400, "there is no label ''; the model has tabby"),
    ({"model": "cats", "label": 0}, 400, "label must be a valid string"),
    ({"label": "tabby"}, 400, "there is no label 'tabby': the model takes none"),
    ({"format": "gif"}, 400, "format must be 'png', 'jpeg' or 'webp'"),
    (
        {"model": "alpha", "format": "jpeg"},
        400,
        "model alpha generates transparency, which jpeg does not support",
    ),
    ({"layout": "pile"}, 400, "layout must be 'grid' or 'zip'"),
    ({"colour": "red"}, 400, "there is no field 'colour'; the fields are seed, model, resolution"),
    ({"seed": -1, "truncation": 2}, 400, "seed must be greater than or equal to 0; truncation must be"),
    ([], 400, "the body must be an object"),
    (None, 400, "the body must be an object"),
]


def refusal(answer: httpx.Response) -> str:
    """The sentence of an answer that must be a refusal."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert list(answer.json()) == ["error"]
    sentence = answer.json()["error"]
    assert isinstance(sentence, str)
    assert len(sentence) > 10
    return sentence


@pytest.mark.parametrize(("body", "status", "words"), BAD, ids=lambda value: str(value)[:40])
def test_bad_fields_are_refused_with_a_sentence(
    client: httpx.Client, body: Any, status: int, words: str
) -> None:
    answer = client.post("/generate", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert refusal(answer).startswith(words)
    assert answer.status_code == status


def test_growth_refuses_likewise(client: httpx.Client) -> None:
    assert refusal(client.post("/generate_progressive", json={"count": 2})).startswith(
        "there is no field 'count'"
    )
    assert refusal(client.post("/generate_progressive", json={"model": ""})).startswith(
        "there is no model ''"
    )


NOT_JSON = [
    b"{",
    b"seed=7",
    b"\xff\xfe",
    b"\x00",
    b"[" * 9999,
    b'{"seed": NaN}',
    b'{"seed": ' + b"9" * 9999 + b"}",
    b'{"truncation": Infinity}',
    b'{"truncation": 1e999}',
    b'{"model": "\\ud800"}',
    b'{"' + b"x" * 9999 + b'": 1}',
]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:20]))
def test_what_is_not_proper_json_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert len(refusal(answer)) < 300


def test_other_types_and_large_bodies_are_refused(client: httpx.Client) -> None:
    for declared in ("application/x-www-form-urlencoded", "application/vnd.bentoml+pickle", "text/plain"):
        answer = client.post("/generate", content=b"{}", headers={"Content-Type": declared})
        assert (answer.status_code, refusal(answer)[:21]) == (415, "the body must be JSON")
    large = b'{"seed": ' + b" " * 20_000 + b"1}"
    declared_and_not = [large, iter([large[:9000], large[9000:]])]
    for content in declared_and_not:
        answer = client.post("/generate", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, refusal(answer)) == (413, "the body must be at most 16384 bytes")


def test_too_many_pixels_are_refused(client: httpx.Client) -> None:
    answer = client.post("/generate", json={"model": "slow", "count": 64 + 1})
    assert answer.status_code == 400
    most = 2**24 // 512**2
    assert most == 64  # so that 64 pictures of 512 pixels pass, and test_engine looks at larger ones


def test_random_requests_never_break_the_service(client: httpx.Client) -> None:
    rng = random.Random(0)
    odd: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**63,
        0.5,
        1e300,
        "",
        "tiny",
        "png",
        "\u0000",
        "é" * 50,
        [],
        {},
        [1],
    ]
    names = ["seed", "model", "resolution", "truncation", "label", "format", "count", "layout", "Seed", ""]
    served = 0
    for _ in range(250):
        body = {rng.choice(names): rng.choice(odd) for _ in range(rng.randint(0, 3))}
        text = bytearray(json.dumps(body).encode())
        if rng.random() < 0.3:
            text[rng.randrange(len(text))] = rng.randrange(256)
        path = rng.choice(["/generate", "/generate_progressive"])
        answer = client.post(path, content=bytes(text), headers={"Content-Type": "application/json"})
        if answer.status_code == 200:
            served += 1
        else:
            refusal(answer)
    assert served > 10  # else the test has tried nothing
    assert client.get("/readyz").status_code == 200


# --- What is read ---


def test_models(client: httpx.Client) -> None:
    models = client.get("/models").json()["models"]
    assert [model["name"] for model in models] == ["tiny", "grey", "alpha", "slow", "cats", "run"]
    assert models[0] == {
        "name": "tiny", "architecture": "msg-gan", "resolutions": [4, 8, 16], "height": 16, "width": 16, "channels": 3,
        "labels": [], "default": True, "about": {"of": "tiny", "distance": None},
    }  # fmt: skip
    assert [model["channels"] for model in models] == [3, 1, 4, 3, 3, 3]
    assert models[4]["labels"] == LABELS


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics"])
def test_operations(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_interface_is_described(client: httpx.Client) -> None:
    paths = client.get("/docs.json").json()["paths"]
    assert paths.keys() >= {
        "/generate",
        "/generate_progressive",
        "/models",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    body = paths["/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert list(body["properties"]) == [
        "seed",
        "model",
        "resolution",
        "truncation",
        "label",
        "format",
        "count",
        "layout",
    ]


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_are_whole_and_load_nothing_from_elsewhere(client: httpx.Client, page: str) -> None:
    answer = client.get(page)
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(parts) > 3
    for part in parts:
        assert "//" not in part
        assert client.get(f"/{part}").status_code == 200, part


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/generate").status_code == 405
    assert client.get("/studio/../service.py").status_code == 404
    assert client.get("/studio/%2e%2e/service.py").status_code == 404
