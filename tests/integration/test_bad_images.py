"""Images through the real service: a bad one costs itself and says why, an unusual one works."""

import io
import struct
import zlib

import grpc
import numpy as np
import pytest
from PIL import Image

import tiny_backbone
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import support_set_pb2 as sets
from pictures import GREEN, RED, encoded, halves, pixels, png

IMAGE_BYTES = 100_000
IMAGE_PIXELS = 1_000_000
BATCH, PLACE = 32, 17  # images of a request, and where the bad one stands


def claiming(width, height):
    """A whole PNG whose header claims another size."""
    data = png(0)
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def cut(image_format):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), image_format)
    return data[: len(data) // 2]


def animated(image_format, image):
    frames = [Image.new("RGB", image.size, color) for color in (GREEN, RED)]
    return encoded(image, image_format, save_all=True, append_images=frames, lossless=True)


UNDECODABLE = embedding.ERROR_REASON_UNDECODABLE_IMAGE
LIMIT_EXCEEDED = embedding.ERROR_REASON_LIMIT_EXCEEDED
ALLOWED = "expected a JPEG, PNG or WebP image, got"
BROKEN = "expected a whole JPEG, PNG or WebP image, got a broken one"
PIXELS = f"expected at most {IMAGE_PIXELS} pixels, got"
BYTES = f"expected at most {IMAGE_BYTES} bytes, got"
BAD = {
    "no image": (b"hello world!", UNDECODABLE, f"{ALLOWED} 12 bytes that start b'hello wo'"),
    "zero bytes": (b"", UNDECODABLE, f"{ALLOWED} 0 bytes"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", UNDECODABLE, ALLOWED),
    "a truncated PNG": (cut("PNG"), UNDECODABLE, BROKEN),
    "a truncated JPEG": (cut("JPEG"), UNDECODABLE, BROKEN),
    "a truncated WebP": (cut("WEBP"), UNDECODABLE, BROKEN),
    "0 x 0 pixels": (claiming(0, 0), UNDECODABLE, ALLOWED),
    "more pixels than its data has": (claiming(900, 900), UNDECODABLE, BROKEN),
    "an animated GIF": (animated("GIF", halves()), UNDECODABLE, ALLOWED),
    "a TIFF": (encoded(halves(), "TIFF"), UNDECODABLE, ALLOWED),
    "over the pixel limit": (
        encoded(Image.new("L", (1001, 1000))),
        LIMIT_EXCEEDED,
        f"{PIXELS} 1001 x 1000 = 1001000",
    ),
    "a bomb of 100 megapixels": (claiming(10_000, 10_000), LIMIT_EXCEEDED, PIXELS),
    "a bomb of 2.5 gigapixels": (claiming(50_000, 50_000), LIMIT_EXCEEDED, f"{PIXELS} 2500000000"),
    "over the byte limit": (bytes(IMAGE_BYTES + 1), LIMIT_EXCEEDED, f"{BYTES} {IMAGE_BYTES + 1}"),
}
each_bad_image = pytest.mark.parametrize(
    ("bad", "reason", "message"), list(BAD.values()), ids=list(BAD)
)
some_bad_images = pytest.mark.parametrize(
    "name", ["zero bytes", "a truncated JPEG", "over the pixel limit"]
)


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"image_bytes": IMAGE_BYTES, "image_pixels": IMAGE_PIXELS})


async def embedded(server, *images):
    return (await server.embedding.Embed(embedding.EmbedRequest(images=images))).results


async def created(server):
    await server.sets.CreateSupportSet(sets.CreateSupportSetRequest(name="set"))


async def added(server, images, **options):
    """Adds image n as exemplar e<n> of label <n>."""
    exemplars = [
        sets.NewExemplar(label=str(n), image=image, exemplar_id=f"e{n}")
        for n, image in enumerate(images)
    ]
    request = sets.AddExemplarsRequest(support_set="set", exemplars=exemplars, **options)
    return await server.sets.AddExemplars(request)


async def classified(server, *images):
    queries = [classification.Query(image=image) for image in images]
    request = classification.ClassifyRequest(support_set="set", queries=queries, k=1)
    return (await server.classification.Classify(request)).answers


def similarity(one, other):
    """Cosine of two results of Embed."""
    return np.frombuffer(one.embedding.values, "<f4") @ np.frombuffer(other.embedding.values, "<f4")


async def goes_on(server):
    """Whether a good call right after is answered rightly."""
    (result,) = await embedded(server, png(0))
    expected_BD = tiny_backbone.reference(pixels(png(0))[None])
    return np.allclose(np.frombuffer(result.embedding.values, "<f4"), expected_BD[0], atol=1e-5)


def batch(bad):
    images = [png(n) for n in range(BATCH)]
    images[PLACE] = bad
    return images


def without_bad(items):
    return [*items[:PLACE], *items[PLACE + 1 :]]


def assert_refused(item, place, reason, message):
    """`item` has no result but an error that says what is wrong, and where."""
    assert item.error.reason == reason
    assert item.error.message.startswith(f"{place}: {message}")


# One bad image of 32


@each_bad_image
async def test_embed_answers_31_in_order_and_tells_of_the_bad_one(server, bad, reason, message):
    images = batch(bad)
    results = await embedded(server, *images)
    assert_refused(results[PLACE], f"images[{PLACE}]", reason, message)
    actual = [np.frombuffer(r.embedding.values, "<f4") for r in without_bad(results)]
    expected_BD = tiny_backbone.reference(np.stack([pixels(i) for i in without_bad(images)]))
    np.testing.assert_allclose(np.stack(actual), expected_BD, atol=1e-5)
    assert await goes_on(server)


@some_bad_images
async def test_classify_answers_31_in_order_and_tells_of_the_bad_one(server, name):
    bad, reason, message = BAD[name]
    await created(server)
    await added(server, [png(n) for n in range(BATCH)])
    answers = await classified(server, *batch(bad))
    assert_refused(answers[PLACE], f"queries[{PLACE}].image", reason, message)
    assert answers[PLACE].verdict == classification.VERDICT_UNSPECIFIED
    labels = [answer.label for answer in without_bad(answers)]
    assert labels == without_bad([str(n) for n in range(BATCH)])
    assert await goes_on(server)


@some_bad_images
async def test_add_exemplars_adds_31_and_tells_of_the_bad_one(server, name):
    bad, reason, message = BAD[name]
    await created(server)
    response = await added(server, batch(bad))
    assert_refused(response.results[PLACE], f"exemplars[{PLACE}].image", reason, message)
    ids = [result.exemplar_id for result in without_bad(response.results)]
    assert ids == without_bad([f"e{n}" for n in range(BATCH)])
    assert response.exemplar_count == BATCH - 1
    assert [a.label for a in await classified(server, png(3), png(30))] == ["3", "30"]
    assert await goes_on(server)


@some_bad_images
async def test_all_or_nothing_refuses_the_whole_batch(server, name):
    bad, reason, message = BAD[name]
    await created(server)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await added(server, batch(bad), all_or_nothing=True)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith(f"exemplars[{PLACE}].image: {message}")
    trailers = dict(refused.value.trailing_metadata())
    assert f"ERROR_REASON_{trailers['exemplar-reason']}" == embedding.ErrorReason.Name(reason)
    described = await server.sets.GetSupportSet(sets.GetSupportSetRequest(name="set"))
    assert described.support_set.exemplar_count == 0
    assert await goes_on(server)


def assert_all_refused(items, place):
    for number, (item, (_, reason, message)) in enumerate(zip(items, BAD.values(), strict=True)):
        assert_refused(item, place.format(number), reason, message)


async def test_a_request_of_nothing_but_bad_images_is_answered_one_by_one(server):
    images = [bad for bad, _, _ in BAD.values()]
    await created(server)
    assert_all_refused(await embedded(server, *images), "images[{}]")
    response = await added(server, images)
    assert_all_refused(response.results, "exemplars[{}].image")
    assert (response.revision, response.exemplar_count) == (1, 0)
    await added(server, [png(0)])
    assert_all_refused(await classified(server, *images), "queries[{}].image")
    assert await goes_on(server)


@pytest.mark.parametrize(
    "data",
    [encoded(Image.new("L", (1000, 1000), 9)), png(0).ljust(IMAGE_BYTES, b"\0")],
    ids=["the pixel limit", "the byte limit"],
)
async def test_an_image_at_the_limit_is_embedded(server, data):
    (result,) = await embedded(server, data)
    assert result.WhichOneof("result") == "embedding"


# Unusual images work


PICTURE = Image.open(io.BytesIO(png(3)))
GRAY = PICTURE.convert("L")
FADED = Image.composite(PICTURE, Image.new("RGB", PICTURE.size, "white"), GRAY)


def deep(gray):
    """16 bits a pixel, with noise in the low byte."""
    noise_HW = np.random.default_rng(2).integers(0, 256, gray.size[::-1], np.uint16)
    return encoded(Image.fromarray((np.asarray(gray).astype(np.uint16) << 8) + noise_HW))


def turned(image_format):
    """Stored on its side, with the EXIF orientation that puts it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = PICTURE.transpose(Image.Transpose.ROTATE_90)
    return encoded(stored, image_format, exif=exif, quality=100, subsampling=0)


def with_alpha(alpha):
    image = PICTURE.copy()
    image.putalpha(alpha)
    return encoded(image)


# The unusual image and the plain one that it shows.
UNUSUAL = {
    "16 bits": (deep(GRAY), encoded(GRAY)),
    "CMYK": (encoded(PICTURE.convert("CMYK"), "JPEG", quality=100), png(3)),
    "palette": (encoded(PICTURE.quantize(256)), png(3)),
    "opaque alpha": (with_alpha(255), png(3)),
    "alpha shows white": (with_alpha(GRAY), encoded(FADED)),
    "EXIF-rotated JPEG": (turned("JPEG"), png(3)),
    "EXIF-rotated PNG": (turned("PNG"), png(3)),
    "animated PNG": (animated("PNG", PICTURE), png(3)),
    "animated WebP": (animated("WEBP", PICTURE), png(3)),
}


@pytest.mark.parametrize(("unusual", "plain"), list(UNUSUAL.values()), ids=list(UNUSUAL))
async def test_an_unusual_image_is_embedded_as_the_plain_one(server, unusual, plain):
    one, other, unlike = await embedded(server, unusual, plain, png(4))
    assert similarity(one, other) > 0.99
    assert similarity(unlike, other) < 0.8


async def test_unusual_exemplars_are_kept_and_answer_for_the_plain_ones(server):
    await created(server)
    await added(server, [unusual for unusual, _ in UNUSUAL.values()])
    answers = await classified(server, *[plain for _, plain in UNUSUAL.values()])
    assert min(answer.similarity for answer in answers) > 0.99
    request = sets.ListExemplarsRequest(support_set="set", include_thumbnails=True)
    listed = (await server.sets.ListExemplars(request)).exemplars
    thumbnails = [Image.open(io.BytesIO(exemplar.thumbnail)) for exemplar in listed]
    assert [thumbnail.size for thumbnail in thumbnails] == [PICTURE.size] * len(UNUSUAL)
