"""The page of a map in a real browser: what is there can be seen, found and saved."""

from base64 import b64decode
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat

import browser as browsers
from exemplar import MapPoint, MapResult, PlacedQuery
from exemplar.map_marks import DARK, LIGHT
from pictures import encoded, halves

JPEG = encoded(halves(), "JPEG")
PNG = encoded(halves())
HOSTILE = '</script><img src="https://example.com/x.png" onerror="alert(1)">\u202e'

# Far from each other and from the cards: cat, cat that looks like a dog, dog.
POINTS = (
    MapPoint(0.0, 0.0, "cat", "id-0", JPEG),
    MapPoint(10.0, 0.0, "cat", "id-1"),
    MapPoint(0.0, 8.0, "dog", "id-2", PNG),
)
QUERIES = (
    PlacedQuery(10.0, 8.0, "known.png", "dog", 0.9, 0.75, thumbnail=PNG),
    PlacedQuery(5.0, 4.0, "unknown.png", "cat", 0.5, is_unknown=True),
)
PETS = MapResult("pets", POINTS, 3, "f" * 64, 5.0, 0.5, 0.97, 0.875, 0.9, QUERIES, {"id-1": "dog"})
# In the order of the page.
CAT, SUSPECT, DOG, KNOWN, UNKNOWN = range(5)


@pytest.fixture(scope="module")
def browser():
    with browsers.started() as browser:
        yield browser


@pytest.fixture
def see(browser, tmp_path):
    """Opens the page of a map."""
    with ExitStack() as stack:

        def see(result, **options):
            result.save_html(tmp_path / "map.html")
            return stack.enter_context(browsers.sight_of(browser, tmp_path / "map.html", **options))

        yield see


@pytest.fixture(scope="module")
def only_page(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "pets.html"
    PETS.save_html(path)
    with browsers.sight_of(browser, path) as sight:
        sight.page.click("#pictures")  # off: marks are bare
        yield sight


@pytest.fixture
def pets(only_page):
    """The page of PETS as if just opened: opening one for each test would take half a second."""
    only_page.page.mouse.move(1, 1)
    only_page.page.keyboard.press("Escape")
    only_page.page.keyboard.press("0")
    return only_page


def place(sight, point):
    return [round(at) for at in sight.page.evaluate(f"[screenX({point}), screenY({point})]")]


def hover(sight, point):
    sight.page.mouse.move(*place(sight, point))
    return sight.page.locator("#card")


def is_near(pixel, color):
    wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 45


def legend(sight, name):
    return sight.page.get_by_role("button", name=name)


@pytest.mark.parametrize(("point", "image"), [(CAT, JPEG), (DOG, PNG), (KNOWN, PNG)])
def test_hovering_a_point_shows_its_image(pets, point, image):
    card = hover(pets, point)
    picture = card.locator("img")
    picture.wait_for()
    assert b64decode(picture.get_attribute("src").partition(",")[2]) == image
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (CAT, ["cat", "id-0"]),
        (SUSPECT, ["cat", "labelled cat, looks like dog", "id-1"]),
        (KNOWN, ["dog", "query, probability 0.75", "known.png"]),
        (UNKNOWN, ["none of these", "query, closest is cat", "unknown.png"]),
    ],
)
def test_the_card_says_what_a_point_is(pets, point, words):
    assert hover(pets, point).inner_text().split("\n\n") == words


def test_between_the_points_there_is_no_card(pets):
    assert hover(pets, CAT).is_visible()
    pets.page.mouse.move(400, 300)
    assert not pets.page.locator("#card").is_visible()


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        ("cat", {CAT, SUSPECT, UNKNOWN}),
        ("dog", {DOG, KNOWN}),
        ("likely mislabelled", {SUSPECT}),
        ("queries", {KNOWN}),
        ("none of these", {UNKNOWN}),
    ],
)
def test_the_legend_filters(pets, entry, left):
    legend(pets, entry).click()
    assert {point for point in range(5) if hover(pets, point).is_visible()} == left
    legend(pets, "Show all").click()
    assert all(hover(pets, point).is_visible() for point in range(5))


def test_what_is_filtered_out_fades(pets):
    at = place(pets, DOG)
    assert is_near(pets.pixel(*at), LIGHT[1])
    legend(pets, "cat").click()
    assert is_near(pets.pixel(*at), "#fbfbfa")


@pytest.mark.parametrize(
    ("scheme", "palette", "ground"), [("dark", DARK, "#14161a"), ("light", LIGHT, "#fbfbfa")]
)
def test_the_page_follows_the_color_scheme(pets, scheme, palette, ground):
    pets.page.emulate_media(color_scheme=scheme)
    assert is_near(pets.pixel(*place(pets, CAT)), palette[0])
    assert is_near(pets.pixel(3, 3), ground)


def test_the_heading_says_how_far_to_trust_the_map(pets):
    heading = pets.page.locator("header").inner_text()
    assert "3 exemplars \u00b7 revision 3 \u00b7 perplexity 5" in heading
    assert "Trustworthiness 0.97 of 1" in heading


@pytest.mark.parametrize(("size", "is_told"), [(2, False), (11, True)])
def test_the_heading_tells_label_agreement_only_of_labels_of_eleven(see, size, is_told):
    points = [
        MapPoint(x, float(at), label, f"{label}-{at}")
        for x, label in ((0.0, "cat"), (5.0, "dog"))
        for at in range(size)
    ]
    heading = see(replace(PETS, points=tuple(points))).page.locator("header").inner_text()
    assert ("Among their own label: 88 % (embeddings: 90 %)" in heading) == is_told


def test_what_is_seen_is_saved_as_png(pets, tmp_path):
    with pets.page.expect_download() as download:
        pets.page.click("#save")
    assert download.value.suggested_filename == "pets.png"
    download.value.save_as(tmp_path / "pets.png")
    saved = Image.open(tmp_path / "pets.png").convert("RGB")
    assert saved.size == (1280, 720)
    seen = Image.open(BytesIO(pets.page.screenshot())).convert("RGB")
    without_buttons = (0, 0, 1280, 620)
    difference = ImageChops.difference(saved.crop(without_buttons), seen.crop(without_buttons))
    assert max(ImageStat.Stat(difference).mean) < 1.5  # the same but for the edges of letters


def test_arrow_keys_go_from_point_to_point(pets):
    pets.page.focus("#canvas")
    visited = [press(pets, key) for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp")]
    assert visited[1:] == ["id-0", "id-1", "known.png"]
    pets.page.keyboard.press("Tab")
    assert not pets.page.locator("#card").is_visible()


def press(sight, key):
    """The id of the point that a key led to."""
    sight.page.keyboard.press(key)
    return sight.page.locator("#id").inner_text()


def test_the_map_zooms_moves_and_fits_again(pets):
    before = place(pets, CAT)
    pets.page.mouse.move(600, 400)
    pets.page.mouse.wheel(0, -400)
    pets.page.wait_for_function(f"Math.abs(screenX(0) - {before[0]}) > 50")
    zoomed = place(pets, CAT)
    pets.page.mouse.down()
    pets.page.mouse.move(640, 370, steps=3)
    pets.page.mouse.up()
    assert place(pets, CAT) == [zoomed[0] + 40, zoomed[1] - 30]
    pets.page.keyboard.press("0")
    assert place(pets, CAT) == before


PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def test_a_phone_shows_the_map_and_answers_fingers(see):
    sight = see(PETS, **PHONE)
    assert not sight.page.locator("#legend").is_visible()
    assert sight.page.evaluate("document.documentElement.scrollWidth") == 390
    sight.page.touchscreen.tap(*place(sight, SUSPECT))
    assert "looks like dog" in sight.page.locator("#card").inner_text()
    before = sight.page.evaluate("scale")
    pinch(sight, (195, 390), 20, 60)
    assert sight.page.evaluate("scale") == pytest.approx(3 * before, rel=0.01)


def pinch(sight, middle, *spans):
    """Two fingers, that far from the middle one after the other."""
    session = sight.page.context.new_cdp_session(sight.page)
    x, y = middle
    for kind, span in zip(("touchStart", "touchMove"), spans, strict=True):
        fingers = [{"x": x - span, "y": y, "id": 0}, {"x": x + span, "y": y, "id": 1}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_hostile_name_stays_a_name(see):
    points = [MapPoint(0.0, 0.0, HOSTILE, HOSTILE), MapPoint(1.0, 0.0, "cat", "id")]
    query = PlacedQuery(0.5, 0.0, HOSTILE, HOSTILE, is_unknown=True)
    result = MapResult(HOSTILE, tuple(points), 1, "f", 0.0, 0.0, suspects={HOSTILE: HOSTILE})
    sight = see(result.with_queries([query]))
    assert sight.page.locator("h1").inner_text() == HOSTILE
    assert legend(sight, HOSTILE).count() == 1
    assert hover(sight, 0).inner_text().count("onerror") == 4
    assert sight.page.locator("script").count() == 2
    assert sight.page.locator("img").count() == 1


@pytest.mark.parametrize("points", [(), POINTS[:1] * 30])
def test_a_map_of_one_place_or_none_has_a_page(see, points):
    sight = see(MapResult("pets", points, 1, "f", 0.0, 0.0))
    assert sight.page.locator("#nothing").is_visible() == (not points)
    if points:
        assert hover(sight, 0).is_visible()


def test_a_notebook_shows_the_map(browser, tmp_path):
    (tmp_path / "notebook.html").write_text(PETS._repr_html_())
    with browsers.sight_of(browser, tmp_path / "notebook.html") as sight:
        frame = sight.page.frame_locator("iframe")
        assert frame.locator("h1").inner_text() == "pets"
        assert not frame.locator("#save").is_visible()  # a sandbox saves no files
